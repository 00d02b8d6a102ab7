/* ownhouse account: connect, list, infrastructure, disconnect; and what the customer applies on his side. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/artefact.h"
#include "cli/checks.h"
#include "cli/commands.h"
#include "cli/customer.h"
#include "cli/eks.h"
#include "cli/session.h"

#include <ctype.h>

static int list_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    json_t *list = NULL;
    const json_t *v;
    size_t i;
    int r = session_open(c, &s, err);
    if (r == 0)
        r = api_call(s.api, "GET", "/accounts", NULL, &list, err);
    if (r < 0)
        return r;
    c->answer = list;
    struct ui_table *t = ui_table_new((const char *const[]){"NAME", "PROVIDER", "ACCOUNT", "ID", NULL});
    json_array_foreach(list, i, v)
    {
        const char *id = session_text(json_object_get(v, "config"), "accountId");
        ui_table_row(t, session_text(v, "name"), session_text(v, "provider"), *id ? id : NULL, session_text(v, "id"));
    }
    ui_table_print(&c->ui, t);
    return 0;
}

/* --- connect --- */

static int read_config(const char *path, json_t **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len;
    if (!path) {
        *ret = json_object();
        return 0;
    }
    int r = fs_read(path, KIB(64), &text, &len, err);
    if (r < 0)
        return err_set(err, r, "--config: cannot read %s", path);
    r = js_parse(text, len, KIB(64), ret, err);
    if (r == 0 && !json_is_object(*ret)) {
        json_decref(*ret);
        *ret = NULL;
        r = err_set(err, -EINVAL, "--config: %s must hold an object", path);
    }
    return r;
}

/* A data plane on this machine has ports of its own, beside the laptop's. */
static void local_ports(const struct install *i, json_t *config)
{
    static const char *const names[] = {"httpsPort", "nativePort", "servicePortBase", "servicePortCount"};
    int64_t first = i->service_port_base + i->service_port_count + 1;
    const int64_t values[] = {first, first + 1, first + 1, 20};
    for (size_t k = 0; k < ARRAY_SIZE(names); k++)
        if (!json_object_get(config, names[k]))
            json_object_set_new(config, names[k], json_integer(values[k]));
}

static int connect_body(struct cli *c, const struct session *s, json_t **ret, struct err *err)
{
    const char *account = cli_option(c, "account-id"), *plane = cli_option(c, "data-plane");
    autojson json_t *config = NULL;
    int r = read_config(cli_option(c, "config"), &config, err);
    if (r < 0)
        return r;
    if (account)
        json_object_set_new(config, "accountId", json_string(account));
    if (cli_option(c, "single-nat"))
        json_object_set_new(config, "nat", json_string("single"));
    if (plane)
        json_object_set_new(config, "dataPlane", json_string(plane));
    if (!strcmp(session_text(config, "dataPlane"), "local"))
        local_ports(&s->install, config);
    *ret = json_pack("{s:s, s:s, s:O}", "name", c->arguments[1], "provider", "aws", "config", config);
    return 0;
}

static void append_encoded(struct buf *out, const char *text)
{
    for (; *text; text++)
        if (isalnum((unsigned char)*text) || strchr("-._~", *text))
            buf_printf(out, "%c", *text);
        else
            buf_printf(out, "%%%02X", (unsigned char)*text);
}

/* What the API says that the account's owner applies, into a folder. */
static int fetch_artefact(const struct session *s, const char *account, const char *controller, const char *folder,
                          struct err *err)
{
    autobuf struct buf path = {0};
    autojson json_t *artefact = NULL;
    buf_printf(&path, "/accounts/%s/artefact?controllerArn=", account);
    append_encoded(&path, controller);
    int r = api_call(s->api, "GET", path.data, NULL, &artefact, err);
    return r < 0
               ? r
               : artefact_write(folder,
                                &(struct artefact){
                                    json_object_get(artefact, "cloudformation"), json_object_get(artefact, "terraform"),
                                    json_object_get(json_object_get(artefact, "buckets"), "cloudformation"),
                                    json_object_get(json_object_get(artefact, "buckets"), "terraform")},
                                err);
}

static int connect_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *body = NULL;
    const char *controller = cli_option(c, "controller-arn");
    if (strcmp(c->arguments[0], "aws"))
        return err_set(err, CLI_BAD_USAGE, "PROVIDER: only aws can be connected so far, not %.40s", c->arguments[0]);
    if (!controller)
        return err_set(err, CLI_BAD_USAGE,
                       "--controller-arn: name the principal that the controller acts as "
                       "(aws sts get-caller-identity with its keys says it)");
    int r = session_open(c, &s, err);
    if (r == 0)
        r = connect_body(c, &s, &body, err);
    if (r == 0)
        r = api_call(s.api, "POST", "/accounts", body, &c->answer, err);
    if (r == 0 && !strcmp(session_text(json_object_get(body, "config"), "dataPlane"), "local"))
        r = customer_prepare(c, c->arguments[1], err);
    if (r < 0)
        return r;
    const char *name = c->arguments[1];
    autofree char *folder =
        cli_option(c, "out") ? mem_strdup(cli_option(c, "out")) : cli_path(c, "accounts/%s/artefact", name);
    r = fetch_artefact(&s, session_text(c->answer, "id"), controller, folder, err);
    if (r < 0)
        return r;
    json_object_set_new(c->answer, "artefact", json_string(folder));
    ui_line(&c->ui, "Apply one of these in the AWS account, with your own rights:");
    ui_line(&c->ui, "  aws cloudformation deploy --stack-name ownhouse-%s --capabilities CAPABILITY_NAMED_IAM \\",
            name);
    ui_line(&c->ui, "      --template-file %s/cloudformation.json", folder);
    ui_line(&c->ui, "  terraform -chdir=%s/terraform init && terraform -chdir=%s/terraform apply", folder, folder);
    ui_line(&c->ui, "Then: ownhouse account verify %s", name);
    ui_line(&c->ui, "Once the buckets are there (the infrastructure is ready), their policies, by one of these:");
    ui_line(&c->ui, "  aws cloudformation deploy --stack-name ownhouse-%s-buckets \\", name);
    ui_line(&c->ui, "      --template-file %s/buckets.json \\", folder);
    ui_line(&c->ui, "      --parameter-overrides Infrastructure=FIRST-8-DIGITS-OF-ITS-ID");
    ui_line(&c->ui, "  terraform -chdir=%s/terraform-buckets init && \\", folder);
    ui_line(&c->ui, "      terraform -chdir=%s/terraform-buckets apply -var infrastructure=FIRST-8-DIGITS-OF-ITS-ID",
            folder);
    return 0;
}

/* --- infrastructure --- */

static int infrastructure_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *account = NULL, *body = NULL, *enrolment = NULL;
    const char *region = cli_option(c, "region"), *cidr = cli_option(c, "cidr"), *name = cli_option(c, "name");
    int r = session_open(c, &s, err);
    if (r == 0)
        r = session_account(&s, c->arguments[0], &account, err);
    if (r < 0)
        return r;
    if (!region)
        return err_set(err, CLI_BAD_USAGE, "--region: must be set");
    body = json_pack("{s:s, s:s}", "accountId", session_text(account, "id"), "regionId", region);
    if (cidr)
        json_object_set_new(body, "vpcCidrRange", json_string(cidr));
    if (name)
        json_object_set_new(body, "displayName", json_string(name));
    r = api_call(s.api, "POST", "/byocInfrastructure", body, &c->answer, err);
    if (r < 0)
        return r;
    const char *id = session_text(c->answer, "id");
    if (!strcmp(session_text(json_object_get(account, "config"), "dataPlane"), "local")) {
        autofree char *path = mem_printf("/infrastructures/%s/enrolment", id);
        r = api_call(s.api, "GET", path, NULL, &enrolment, err);
        if (r == 0)
            r = MIN(customer_write_bundle(c, session_text(account, "name"), enrolment, err), 0);
    }
    if (r == 0)
        ui_line(&c->ui, "Infrastructure %s: look at its plan with `ownhouse plan show %s`", id, id);
    return r;
}

static int disconnect_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *account = NULL;
    int r = session_open(c, &s, err);
    if (r == 0)
        r = session_account(&s, c->arguments[0], &account, err);
    if (r < 0)
        return r;
    autofree char *path = mem_printf("/accounts/%s", session_text(account, "id"));
    return api_call(s.api, "DELETE", path, NULL, NULL, err);
}

static const struct cli_option connect_options[] = {
    {"account-id", 0, "DIGITS", "the twelve digits of the AWS account"},
    {"controller-arn", 0, "ARN", "the principal that the controller acts as; the roles trust it"},
    {"config", 0, "FILE", "JSON with more settings: own network, own identities, features"},
    {"single-nat", 0, NULL, "one NAT gateway for all zones"},
    {"data-plane", 0, "WHERE", "eks, or local: services run on this machine, to try it out"},
    {"out", 'o', "FOLDER", "where the artefact is written"},
    {NULL},
};
static const struct cli_option infrastructure_options[] = {
    {"region", 0, "REGION", "such as us-east-1"},
    {"cidr", 0, "RANGE", "the network's range, /16 to /23; cannot be changed later"},
    {"name", 0, "NAME", "name of the infrastructure"},
    {NULL},
};

static const struct cli_command subcommands[] = {
    {.name = "list", .arguments = "", .summary = "Lists the connected accounts.", .run = list_run},
    {.name = "connect",
     .arguments = "aws NAME",
     .summary = "Connects an account and writes what its owner applies.",
     .details =
         "The external id is made by the control plane. Nothing happens in the account until its owner has applied\n"
         "the template or module, with his own rights; `ownhouse account verify` then says whether all is right.",
     .min_arguments = 2,
     .max_arguments = 2,
     .options = connect_options,
     .run = connect_run},
    {.name = "verify",
     .arguments = "NAME",
     .summary = "Takes up each role and names what is wrong.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = check_options,
     .run = account_verify_run},
    {.name = "preflight",
     .arguments = "NAME",
     .summary = "Looks whether an infrastructure would fit: quotas, zones, range, names.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = check_options,
     .run = account_preflight_run},
    {.name = "infrastructure",
     .arguments = "NAME",
     .summary = "Makes an infrastructure in the account; its plan waits for approval.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = infrastructure_options,
     .run = infrastructure_run},
    {.name = "eks-token",
     .arguments = "CLUSTER",
     .summary = "Prints a token for an EKS cluster from your own AWS keys, for kubeconfig's exec.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = eks_token_options,
     .run = eks_token_run},
    {.name = "disconnect",
     .arguments = "NAME",
     .summary = "Forgets an account whose infrastructures are gone.",
     .min_arguments = 1,
     .max_arguments = 1,
     .run = disconnect_run},
    {NULL},
};

const struct cli_command account_command = {
    .name = "account",
    .arguments = "[COMMAND]",
    .summary = "Connects cloud accounts and looks into them.",
    .subcommands = subcommands,
    .default_subcommand = "list",
};
