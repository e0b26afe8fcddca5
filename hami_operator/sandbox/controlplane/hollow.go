package main

import (
	"context"
	"os"
	"time"

	cadvisorapi "github.com/google/cadvisor/lib/model"
	"github.com/spf13/cobra"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	critest "k8s.io/cri-api/pkg/apis/testing"
	"k8s.io/klog/v2"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubemark"
)

// kubeletRoot is where the kubelet keeps its files. The path of the device plugin socket is a constant of the
// device plugin API, so one machine holds several nodes only where each sees a /var/lib/kubelet of its own.
const kubeletRoot = "/var/lib/kubelet"

// hollowNode is what a hollow node is told on its command line.
type hollowNode struct {
	name, kubeconfig, listen, addressFile, topology string
	labels                                          map[string]string
}

// hollowNodeCommand runs a kubelet with the real pod lifecycle and the real device manager, but a container
// runtime that only keeps books.
func hollowNodeCommand() *cobra.Command {
	var n hollowNode
	cmd := &cobra.Command{
		Use:          "hollow-node",
		SilenceUsage: true,
		RunE:         func(cmd *cobra.Command, _ []string) error { return n.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&n.name, "name", "", "name of the node")
	flags.StringVar(&n.kubeconfig, "kubeconfig", "", "path of a kubeconfig")
	flags.StringVar(&n.listen, "listen", "127.0.0.1:0", "address of the runtime's HTTP endpoint")
	flags.StringVar(&n.addressFile, "address-file", "", "file that the endpoint's address is written to once it is open")
	flags.StringVar(&n.topology, "topology-manager-policy", topologymanager.PolicyNone, "none, best-effort, restricted or single-numa-node")
	flags.StringToStringVar(&n.labels, "node-labels", nil, "labels of the node")
	return cmd
}

func (n *hollowNode) run(ctx context.Context) error {
	restConfig, err := clientcmd.BuildConfigFromFlags("", n.kubeconfig)
	if err != nil {
		return err
	}
	restConfig.QPS, restConfig.Burst = -1, -1
	client, err := clientset.NewForConfig(restConfig)
	if err != nil {
		return err
	}
	machine := &machine{Fake: cadvisortest.Fake{NodeName: n.name}}
	containers, err := newContainerManager(machine, n.topology)
	if err != nil {
		return err
	}
	runtime := newRuntime()
	if err := runtime.serve(n.listen, n.addressFile); err != nil {
		return err
	}

	flags, conf := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{NodeName: n.name, MaxPods: 250, NodeLabels: n.labels})
	os.RemoveAll(flags.RootDirectory) // a temporary folder, replaced here
	flags.RootDirectory = kubeletRoot
	conf.StaticPodPath = ""
	conf.PodLogsDir = kubeletRoot + "/pod-logs"
	conf.EnableServer = false
	conf.NodeStatusUpdateFrequency.Duration = time.Second
	conf.RegistryPullQPS = 0            // no limit; else 5 a second, and then a back-off of 10 s and more
	conf.MakeIPTablesUtilChains = false // or it writes rules on this machine, where that has iptables

	kubelet := kubemark.NewHollowKubelet(flags, conf, client, client, machine, critest.NewFakeImageService(), runtime, containers)
	kubelet.KubeletDeps.Recorder = nil // so that RunKubelet makes one that sends its events
	kubelet.KubeletDeps.EventClient = client.CoreV1()
	kubelet.Run(ctx)
	return nil
}

// machine is what the kubelet is told about the hardware: 64 cores and 256 GiB on two NUMA nodes.
type machine struct{ cadvisortest.Fake }

func (m *machine) MachineInfo(logger klog.Logger) (*cadvisorapi.MachineInfo, error) {
	info, err := m.Fake.MachineInfo(logger)
	if err != nil {
		return nil, err
	}
	info.NumCores, info.MemoryCapacity = 64, 256<<30
	for node := range 2 {
		info.Topology = append(info.Topology, cadvisorapi.Node{Id: node, Memory: info.MemoryCapacity / 2})
	}
	return info, nil
}
