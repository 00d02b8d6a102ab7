// Terraform's AWS provider as a program. Version 1.60.0 is the newest of which the module proxy has a whole module; it is linked
// with the plugin interface of Terraform 0.12, so that today's Terraform can talk to it.
package main

import (
	"github.com/hashicorp/terraform/plugin"
	"github.com/terraform-providers/terraform-provider-aws/aws"
)

func main() {
	plugin.Serve(&plugin.ServeOpts{ProviderFunc: aws.Provider})
}
