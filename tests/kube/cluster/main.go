// Runs one part of a Kubernetes cluster for tests: etcd, the API server, the controllers, the scheduler or kubectl.
package main

import (
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// etcd keeps its data in the folder given; nothing is fsynced.
func etcd(dir, client, peer string) {
	cfg := embed.NewConfig()
	cfg.Dir = dir + "/data"
	clientURL, err := url.Parse(client)
	must(err)
	peerURL, err := url.Parse(peer)
	must(err)
	cfg.ListenClientUrls = []url.URL{*clientURL}
	cfg.AdvertiseClientUrls = []url.URL{*clientURL}
	cfg.ListenPeerUrls = []url.URL{*peerURL}
	cfg.AdvertisePeerUrls = []url.URL{*peerURL}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.UnsafeNoFsync = true
	cfg.LogLevel = "warn"
	server, err := embed.StartEtcd(cfg)
	must(err)
	<-server.Server.ReadyNotify()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	server.Close()
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: cluster etcd DIR URL PEER-URL | apiserver … | controllers … | scheduler … | kubectl … | kubelet …")
		os.Exit(2)
	}
	part := os.Args[1]
	// The API server notes who writes by the name of the program, as a cluster's own programs are called.
	names := map[string]string{"apiserver": "kube-apiserver", "controllers": "kube-controller-manager", "scheduler": "kube-scheduler",
		"kubectl": "kubectl", "kubelet": "kubelet"}
	os.Args = append([]string{names[part]}, os.Args[2:]...)
	switch part {
	case "etcd":
		etcd(os.Args[1], os.Args[2], os.Args[3])
	case "apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "controllers":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kubectl":
		must(cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()))
	case "kubelet":
		must(kubelet(os.Args[1], os.Args[2:]))
	default:
		fmt.Fprintln(os.Stderr, "cluster: no such part:", part)
		os.Exit(2)
	}
}
