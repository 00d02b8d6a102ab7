/* ownhouse account eks-token: a person's own AWS keys as a token for a cluster's API. */
#include "cli/eks.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cloud/aws/client.h"
#include "cloud/aws/eks_token.h"

/* Keys as AWS's own tools find them; a role on top, if one is named. */
static int keys_of(struct cli *c, const char *region, struct aws_keys *ret, struct err *err)
{
    struct aws_config k = {
        .region = region, .role_arn = cli_option(c, "role-arn"), .session_name = "ownhouse", .clock = &clock_system};
    aws_source_environment(&k.source);
    k.source.region = region;
    if (cli_option(c, "profile"))
        k.source.profile = cli_option(c, "profile");
    autoaws struct aws_client *client = aws_client_new(&k);
    return aws_client_keys(client, ret, err);
}

int eks_token_run(struct cli *c, struct err *err)
{
    const char *region = cli_option(c, "region");
    autokeys struct aws_keys keys = {0};
    autofree char *token = NULL;
    char expires[CLOCK_ISO_SIZE];
    int64_t now = clock_wall_ms(&clock_system);
    if (!region)
        region = getenv("AWS_REGION");
    if (!region)
        region = getenv("AWS_DEFAULT_REGION");
    if (!region || !*region)
        return err_set(err, CLI_BAD_USAGE, "--region: must be set, here or as AWS_REGION");
    int r = keys_of(c, region, &keys, err);
    if (r < 0)
        return r;
    const struct sigv4_keys k = {keys.id, keys.secret, keys.token};
    r = aws_eks_token(&k, region, c->arguments[0], NULL, now, &token, err);
    if (r < 0)
        return r;
    clock_iso((now / 1000 + AWS_EKS_TOKEN_SECONDS) * 1000, expires);
    c->answer = json_pack("{s:s, s:s, s:{}, s:{s:s, s:s}}", "kind", "ExecCredential", "apiVersion",
                          "client.authentication.k8s.io/v1beta1", "spec", "status", "expirationTimestamp", expires,
                          "token", token);
    /* kubectl reads it as it is, with or without --json. */
    autofree char *text = js_text(c->answer);
    if (c->ui.out)
        fprintf(c->ui.out, "%s\n", text);
    mem_wipe(token, strlen(token));
    return 0;
}

const struct cli_option eks_token_options[] = {
    {"region", 0, "REGION", "the cluster's; else AWS_REGION"},
    {"profile", 0, "NAME", "of your AWS credentials file"},
    {"role-arn", 0, "ARN", "a role of yours to take up first"},
    {NULL},
};
