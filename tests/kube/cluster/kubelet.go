// Stands in for kubelets, volumes and load balancers: makes nodes, says of pods bound to them what a kubelet would say,
// gives claims their volumes and LoadBalancer Services their address. It runs no container.
//
// A pod may ask for trouble by an image name: ":broken" cannot be pulled, ":crash" keeps ending, ":slow" never gets
// ready.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
)

type stand struct {
	client *kubernetes.Clientset
	ctx    context.Context
	mu     sync.Mutex
	next   int
}

func now() metav1.Time { return metav1.NewTime(time.Now()) }

func (s *stand) address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return fmt.Sprintf("10.244.%d.%d", s.next/250, 1+s.next%250)
}

func (s *stand) node(i int) error {
	name := fmt.Sprintf("node-%d", i)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"kubernetes.io/hostname":      name,
		"topology.kubernetes.io/zone": fmt.Sprintf("zone-%d", i%3),
		"kubernetes.io/os":            "linux",
	}}}
	node, err := s.client.CoreV1().Nodes().Create(s.ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return err
	}
	size := corev1.ResourceList{"cpu": resource.MustParse("100000"), "memory": resource.MustParse("100Ti"),
		"pods": resource.MustParse("5000"), "ephemeral-storage": resource.MustParse("100Ti")}
	node.Status.Capacity, node.Status.Allocatable = size, size
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue,
		LastHeartbeatTime: now(), LastTransitionTime: now(), Reason: "Stand", Message: "no kubelet"}}
	_, err = s.client.CoreV1().Nodes().UpdateStatus(s.ctx, node, metav1.UpdateOptions{})
	return err
}

func status(pod *corev1.Pod, ready bool, waiting *corev1.ContainerStateWaiting, restarts int32) {
	c := corev1.ContainerStatus{Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image, Ready: ready,
		RestartCount: restarts, ImageID: "stand://" + pod.Spec.Containers[0].Image}
	started := waiting == nil
	c.Started = &started
	if waiting != nil {
		c.State.Waiting = waiting
	} else {
		c.State.Running = &corev1.ContainerStateRunning{StartedAt: now()}
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{c}
	pod.Status.Phase = corev1.PodRunning
	if waiting != nil {
		pod.Status.Phase = corev1.PodPending
	}
	truth := corev1.ConditionFalse
	if ready {
		truth = corev1.ConditionTrue
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue,
		LastTransitionTime: now()}, {Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: now()},
		{Type: corev1.ContainersReady, Status: truth, LastTransitionTime: now()},
		{Type: corev1.PodReady, Status: truth, LastTransitionTime: now()}}
}

// What the pod mounts must be there, as a kubelet insists.
func (s *stand) missing(pod *corev1.Pod) string {
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, from := range v.Projected.Sources {
			if from.ConfigMap != nil {
				if _, err := s.client.CoreV1().ConfigMaps(pod.Namespace).Get(s.ctx, from.ConfigMap.Name,
					metav1.GetOptions{}); err != nil {
					return fmt.Sprintf("configmap %q not found", from.ConfigMap.Name)
				}
			}
			if from.Secret != nil {
				if _, err := s.client.CoreV1().Secrets(pod.Namespace).Get(s.ctx, from.Secret.Name,
					metav1.GetOptions{}); err != nil {
					return fmt.Sprintf("secret %q not found", from.Secret.Name)
				}
			}
		}
	}
	return ""
}

func (s *stand) pod(pod *corev1.Pod) error {
	pods := s.client.CoreV1().Pods(pod.Namespace)
	if pod.DeletionTimestamp != nil {
		zero := int64(0)
		err := pods.Delete(s.ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero,
			Preconditions: &metav1.Preconditions{UID: &pod.UID}})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		}
		return err
	}
	if pod.Spec.NodeName == "" || len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].Ready {
		return nil
	}
	pod = pod.DeepCopy()
	image := pod.Spec.Containers[0].Image
	if pod.Status.PodIP == "" {
		pod.Status.PodIP = s.address()
		pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
		pod.Status.HostIP = "192.0.2.1"
		start := now()
		pod.Status.StartTime = &start
	}
	what := s.missing(pod)
	switch {
	case what != "":
		status(pod, false, &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: what}, 0)
	case strings.Contains(image, ":broken"):
		status(pod, false, &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}, 0)
	case strings.Contains(image, ":crash"):
		status(pod, false, &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "it keeps ending"}, 5)
	case strings.Contains(image, ":slow"):
		status(pod, false, nil, 0)
	default:
		status(pod, true, nil, 0)
	}
	_, err := pods.UpdateStatus(s.ctx, pod, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err == nil && what != "" {
		return fmt.Errorf("pod %s: %s", pod.Name, what)
	}
	return err
}

// A volume for a claim, as a provisioner would make it.
func (s *stand) claim(c *corev1.PersistentVolumeClaim) error {
	if c.DeletionTimestamp != nil || c.Spec.VolumeName == "" && c.Status.Phase == corev1.ClaimLost {
		return nil
	}
	name := "pv-" + string(c.UID)
	if c.Spec.VolumeName == "" {
		class := ""
		if c.Spec.StorageClassName != nil {
			class = *c.Spec.StorageClassName
		}
		pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{"storage": c.Spec.Resources.Requests["storage"]},
			AccessModes:                   c.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName:              class,
			ClaimRef: &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: c.Namespace,
				Name: c.Name, UID: c.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: "stand.test", VolumeHandle: name}},
		}}
		_, err := s.client.CoreV1().PersistentVolumes().Create(s.ctx, pv, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	want := c.Spec.Resources.Requests["storage"]
	have := c.Status.Capacity["storage"]
	if c.Status.Phase == corev1.ClaimBound && have.Cmp(want) < 0 {
		c = c.DeepCopy()
		c.Status.Capacity["storage"] = want
		_, err := s.client.CoreV1().PersistentVolumeClaims(c.Namespace).UpdateStatus(s.ctx, c, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	return nil
}

func (s *stand) service(v *corev1.Service) error {
	if v.Spec.Type != corev1.ServiceTypeLoadBalancer || len(v.Status.LoadBalancer.Ingress) > 0 {
		return nil
	}
	v = v.DeepCopy()
	v.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.10"}}
	_, err := s.client.CoreV1().Services(v.Namespace).UpdateStatus(s.ctx, v, metav1.UpdateOptions{})
	return err
}

func (s *stand) serve(informer cache.SharedIndexInformer, work func(any) error) {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](
		200*time.Millisecond, 5*time.Second))
	add := func(o any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
			queue.Add(key)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add,
		UpdateFunc: func(_, o any) { add(o) }})
	must(err)
	for i := 0; i < 4; i++ {
		go func() {
			for {
				key, stop := queue.Get()
				if stop {
					return
				}
				if o, there, _ := informer.GetStore().GetByKey(key); there {
					if err := work(o); err != nil {
						fmt.Fprintln(os.Stderr, "stand:", key, err)
						queue.AddRateLimited(key)
					} else {
						queue.Forget(key)
					}
				}
				queue.Done(key)
			}
		}()
	}
}

// kubelet KUBECONFIG [NODES]
func kubelet(kubeconfig string, args []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 1000, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	nodes := 3
	if len(args) > 0 {
		if nodes, err = strconv.Atoi(args[0]); err != nil {
			return err
		}
	}
	s := &stand{client: client, ctx: context.Background()}
	for i := 0; i < nodes; i++ {
		if err := s.node(i); err != nil {
			return err
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	s.serve(factory.Core().V1().Pods().Informer(), func(o any) error { return s.pod(o.(*corev1.Pod)) })
	s.serve(factory.Core().V1().PersistentVolumeClaims().Informer(),
		func(o any) error { return s.claim(o.(*corev1.PersistentVolumeClaim)) })
	s.serve(factory.Core().V1().Services().Informer(), func(o any) error { return s.service(o.(*corev1.Service)) })
	factory.Start(s.ctx.Done())
	fmt.Println("ready")
	select {}
}
