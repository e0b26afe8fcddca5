package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	critest "k8s.io/cri-api/pkg/apis/testing"
	"k8s.io/klog/v2"
)

// runSeconds is the pod annotation that ends every container of the pod with code 0 so many seconds after its start.
const runSeconds = "sandbox.hami-operator.io/run-seconds"

// runtime is the fake container runtime, which also remembers what it was asked to create.
//
//	GET  /containers                          every container: pod, state, and the configuration it was created with
//	POST /exit?pod=NS/NAME&container=C&code=N ends a running container
type runtime struct {
	*critest.FakeRuntimeService
	configs map[string]*cri.ContainerConfig
	ends    map[string]time.Duration
}

func newRuntime() *runtime {
	r := &runtime{critest.NewFakeRuntimeService(), map[string]*cri.ContainerConfig{}, map[string]time.Duration{}}
	r.FakeStatus = &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true},
		{Type: cri.NetworkReady, Status: true},
	}}
	return r
}

// serve opens the HTTP endpoint and writes its address to addressFile, in one step, so that a reader sees all or nothing.
func (r *runtime) serve(listen, addressFile string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if addressFile != "" {
		if err := os.WriteFile(addressFile+".new", []byte(listener.Addr().String()), 0o600); err != nil {
			return err
		}
		if err := os.Rename(addressFile+".new", addressFile); err != nil {
			return err
		}
	}
	go func() { klog.Fatal(http.Serve(listener, r)) }()
	return nil
}

func (r *runtime) CreateContainer(ctx context.Context, sandbox string, conf *cri.ContainerConfig, sandboxConf *cri.PodSandboxConfig) (string, error) {
	id, err := r.FakeRuntimeService.CreateContainer(ctx, sandbox, conf, sandboxConf)
	if err != nil {
		return id, err
	}
	r.Lock()
	defer r.Unlock()
	r.configs[id] = conf
	if seconds, err := strconv.ParseFloat(sandboxConf.GetAnnotations()[runSeconds], 64); err == nil {
		r.ends[id] = time.Duration(seconds * float64(time.Second))
	}
	return id, nil
}

func (r *runtime) StartContainer(ctx context.Context, id string) error {
	if err := r.FakeRuntimeService.StartContainer(ctx, id); err != nil {
		return err
	}
	r.Lock()
	defer r.Unlock()
	if after, ends := r.ends[id]; ends {
		time.AfterFunc(after, func() {
			r.Lock()
			defer r.Unlock()
			r.end(id, 0)
		})
	}
	return nil
}

func (r *runtime) RemoveContainer(ctx context.Context, id string) error {
	r.Lock()
	delete(r.configs, id)
	delete(r.ends, id)
	r.Unlock()
	return r.FakeRuntimeService.RemoveContainer(ctx, id)
}

// end ends a container if it is running; the caller holds the lock.
func (r *runtime) end(id string, code int32) bool {
	fake, known := r.Containers[id]
	if !known || fake.State != cri.ContainerState_CONTAINER_RUNNING {
		return false
	}
	fake.State, fake.ExitCode, fake.FinishedAt = cri.ContainerState_CONTAINER_EXITED, code, time.Now().UnixNano()
	if code == 0 {
		fake.Reason = "Completed"
	} else {
		fake.Reason = "Error"
	}
	return true
}

// container is one entry of the answer to GET /containers.
type container struct {
	ID, Pod, PodUID, Name, State string
	Config                       *cri.ContainerConfig
}

// list is every container; the caller holds the lock.
func (r *runtime) list() []container {
	list := []container{}
	for id, c := range r.Containers {
		labels := c.GetLabels()
		pod := labels["io.kubernetes.pod.namespace"] + "/" + labels["io.kubernetes.pod.name"]
		list = append(list, container{id, pod, labels["io.kubernetes.pod.uid"], c.GetMetadata().GetName(), c.State.String(), r.configs[id]})
	}
	return list
}

func (r *runtime) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch req.Method + " " + req.URL.Path {
	case "GET /containers":
		r.Lock()
		defer r.Unlock()
		if err := json.NewEncoder(w).Encode(r.list()); err != nil {
			klog.ErrorS(err, "answering GET /containers")
		}
	case "POST /exit":
		r.serveExit(w, req)
	default:
		http.NotFound(w, req)
	}
}

func (r *runtime) serveExit(w http.ResponseWriter, req *http.Request) {
	code, err := strconv.ParseInt(req.FormValue("code"), 10, 32)
	if err != nil {
		http.Error(w, fmt.Sprintf("code: %q is not an exit code (0 to 255)", req.FormValue("code")), http.StatusBadRequest)
		return
	}
	r.Lock()
	defer r.Unlock()
	for _, c := range r.list() {
		if c.Pod == req.FormValue("pod") && c.Name == req.FormValue("container") && r.end(c.ID, int32(code)) {
			fmt.Fprintln(w, c.ID)
			return
		}
	}
	http.Error(w, "no such running container", http.StatusNotFound)
}
