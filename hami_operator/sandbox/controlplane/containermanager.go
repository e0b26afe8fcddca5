package main

import (
	"context"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/server/healthz"
	internalapi "k8s.io/cri-api/pkg/apis"
	"k8s.io/klog/v2"
	watcherapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/cm/containermap"
	"k8s.io/kubernetes/pkg/kubelet/cm/devicemanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/resourceupdates"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/config"
	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
	"k8s.io/kubernetes/pkg/kubelet/pluginmanager/cache"
	"k8s.io/kubernetes/pkg/kubelet/status"
	schedulerframework "k8s.io/kubernetes/pkg/scheduler/framework"
)

// containerManager is the stub container manager with the real device manager and topology manager.
type containerManager struct {
	cm.ContainerManager
	devices  devicemanager.Manager
	topology topologymanager.Manager
}

func newContainerManager(m *machine, policy string) (*containerManager, error) {
	logger := klog.Background()
	info, err := m.MachineInfo(logger)
	if err != nil {
		return nil, err
	}
	topology, err := topologymanager.NewManager(logger, info.Topology, policy, topologymanager.ContainerTopologyScope, nil)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(kubeletRoot+"/device-plugins", 0o750); err != nil {
		return nil, err
	}
	devices, err := devicemanager.NewManagerImpl(logger, info.Topology, topology)
	if err != nil {
		return nil, err
	}
	topology.AddHintProvider(logger, devices)
	return &containerManager{cm.NewStubContainerManager(), devices, topology}, nil
}

func (c *containerManager) Start(ctx context.Context, node *v1.Node, pods cm.ActivePodsFunc, getNode cm.GetNodeFunc, ready config.SourcesReady, statuses status.PodStatusProvider, runtime internalapi.RuntimeService, isolation bool) error {
	if err := c.ContainerManager.Start(ctx, node, pods, getNode, ready, statuses, runtime, isolation); err != nil {
		return err
	}
	return c.devices.Start(klog.FromContext(ctx), devicemanager.ActivePodsFunc(pods), ready, containermap.NewContainerMap(), sets.New[string]())
}

// GetCapacity is where ephemeral storage comes from; the stub has 0 bytes of it.
func (c *containerManager) GetCapacity(klog.Logger, bool) v1.ResourceList {
	return v1.ResourceList{v1.ResourceEphemeralStorage: resource.MustParse("1Ti")}
}

func (c *containerManager) GetDevicePluginResourceCapacity(logger klog.Logger) (v1.ResourceList, v1.ResourceList, []string) {
	return c.devices.GetCapacity(logger)
}

func (c *containerManager) GetPluginRegistrationHandlers() map[string]cache.PluginHandler {
	return map[string]cache.PluginHandler{watcherapi.DevicePlugin: c.devices.GetWatcherHandler()}
}

func (c *containerManager) GetHealthCheckers() []healthz.HealthChecker {
	return []healthz.HealthChecker{c.devices.GetHealthChecker()}
}

func (c *containerManager) GetResources(ctx context.Context, pod *v1.Pod, container *v1.Container) (*kubecontainer.RunContainerOptions, error) {
	opts, err := c.devices.GetDeviceRunContainerOptions(ctx, pod, container)
	if err != nil || opts == nil {
		return &kubecontainer.RunContainerOptions{}, err
	}
	return &kubecontainer.RunContainerOptions{Devices: opts.Devices, Mounts: opts.Mounts, Envs: opts.Envs, Annotations: opts.Annotations, CDIDevices: opts.CDIDevices}, nil
}

func (c *containerManager) UpdatePluginResources(node *schedulerframework.NodeInfo, attrs *lifecycle.PodAdmitAttributes) error {
	return c.devices.UpdatePluginResources(node, attrs)
}

func (c *containerManager) GetAllocateResourcesPodAdmitHandler(klog.Logger) lifecycle.PodAdmitHandler {
	return c.topology
}

func (c *containerManager) ShouldResetExtendedResourceCapacity() bool {
	return c.devices.ShouldResetExtendedResourceCapacity()
}

func (c *containerManager) UpdateAllocatedDevices(logger klog.Logger) {
	c.devices.UpdateAllocatedDevices(logger)
}

func (c *containerManager) UpdateAllocatedResourcesStatus(logger klog.Logger, pod *v1.Pod, status *v1.PodStatus) {
	c.devices.UpdateAllocatedResourcesStatus(logger, pod, status)
}

func (c *containerManager) Updates() <-chan resourceupdates.Update { return c.devices.Updates() }

func (c *containerManager) GetDevices(podUID, container string) []*podresources.ContainerDevices {
	return containerDevices(c.devices.GetDevices(podUID, container))
}

func (c *containerManager) GetAllocatableDevices(logger klog.Logger) []*podresources.ContainerDevices {
	return containerDevices(c.devices.GetAllocatableDevices(logger))
}

// containerDevices is what package cm does with the device manager's answer for the pod resources API.
func containerDevices(devices devicemanager.ResourceDeviceInstances) []*podresources.ContainerDevices {
	var result []*podresources.ContainerDevices
	for name, instances := range devices {
		for id, device := range instances {
			entry := &podresources.ContainerDevices{ResourceName: name, DeviceIds: []string{id}}
			for _, node := range device.GetTopology().GetNodes() {
				if entry.Topology == nil {
					entry.Topology = &podresources.TopologyInfo{}
				}
				entry.Topology.Nodes = append(entry.Topology.Nodes, &podresources.NUMANode{ID: node.GetID()})
			}
			result = append(result, entry)
		}
	}
	return result
}
