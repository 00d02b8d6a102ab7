/* ownhouse policy: generate, lint and compare the roles' policies; works without a control plane. */
#include "cloud/aws/policy.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/artefact.h"
#include "cli/commands.h"
#include "cloud/aws/artefact.h"

static int load(const char *path, json_t **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len;
    int r = fs_read(path, MIB(1), &text, &len, err);
    if (r < 0)
        return err_set(err, r, "cannot read %s", path);
    r = js_parse(text, len, MIB(1), ret, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

static void print(struct cli *c, json_t *v)
{
    autofree char *text = json_dumps(v, JSON_INDENT(1));
    c->answer = v;
    if (c->ui.out)
        fprintf(c->ui.out, "%s\n", text);
}

static bool off(const struct cli *c, const char *what)
{
    return cli_option(c, what) != NULL;
}

static int generate_run(struct cli *c, struct err *err)
{
    const char *account = cli_option(c, "account-id"), *path = cli_option(c, "role-path");
    struct aws_policy_for f = {.name = c->arguments[0],
                               .account = account ? account : "123456789012",
                               .partition = "aws",
                               .role_path = path ? path : "/ownhouse/",
                               .network = !off(c, "own-network"),
                               .identities = !off(c, "own-identities"),
                               .key = !off(c, "own-key"),
                               .cluster = !off(c, "no-cluster"),
                               .hosted_zone = off(c, "zone"),
                               .delete_data = off(c, "delete-data"),
                               .connections = off(c, "connections")};
    const char *only = cli_option(c, "phase");
    json_t *all = json_object();
    for (enum aws_phase i = 0; i < AWS_PHASES; i++)
        if (!only || !strcmp(only, aws_phase_names[i]))
            json_object_set_new(all, aws_phase_names[i], aws_policy_generate(&f, i));
    if (!json_object_size(all)) {
        json_decref(all);
        return err_set(err, CLI_BAD_USAGE, "--phase: must be inspect, provision, operate or remove");
    }
    if (!only) {
        json_object_set_new(all, "boundary", aws_policy_boundary(&f));
        json_object_set_new(all, "data", aws_policy_data(&f));
    }
    print(c, all);
    return 0;
}

/* A policy, or what generate printed: every document in it that belongs to a role of ours. */
static void lint_all(const json_t *v, json_t *out)
{
    const char *key;
    json_t *child;
    size_t i;
    if (json_object_get(v, "Statement")) {
        autojson json_t *one = aws_policy_lint(v);
        json_array_extend(out, one);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, child)
    {
        if (strcmp(key, "boundary") && strcmp(key, "data"))
            lint_all(child, out);
    }
    json_array_foreach(v, i, child) lint_all(child, out);
}

static int lint_run(struct cli *c, struct err *err)
{
    autojson json_t *v = NULL;
    json_t *found = json_array(), *one;
    size_t i;
    int r = load(c->arguments[0], &v, err);
    if (r < 0) {
        json_decref(found);
        return r;
    }
    lint_all(v, found);
    c->answer = found;
    json_array_foreach(found, i, one)
        ui_line(&c->ui, "%s %s: %s", json_string_value(json_object_get(one, "statement")),
                json_string_value(json_object_get(one, "action")), json_string_value(json_object_get(one, "why")));
    return i ? err_set(err, -EPERM, "%zu ways to more rights than meant", i) : 0;
}

static void documents(const json_t *v, json_t *out)
{
    const char *key;
    json_t *child;
    size_t i;
    if (json_object_get(v, "Statement")) {
        json_array_append(out, (json_t *)(uintptr_t)v);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, child) documents(child, out);
    json_array_foreach(v, i, child) documents(child, out);
}

static int diff_run(struct cli *c, struct err *err)
{
    autojson json_t *a = NULL, *b = NULL, *before = json_array(), *after = json_array();
    size_t i;
    json_t *one;
    int r = load(c->arguments[0], &a, err);
    if (r == 0)
        r = load(c->arguments[1], &b, err);
    if (r < 0)
        return r;
    documents(a, before);
    documents(b, after);
    c->answer = aws_policy_diff(before, after);
    json_array_foreach(c->answer, i, one) ui_line(&c->ui, "%-8s %s", json_string_value(json_object_get(one, "change")),
                                                  json_string_value(json_object_get(one, "right")));
    if (!i)
        ui_line(&c->ui, "No difference.");
    return 0;
}

static int artefact_run(struct cli *c, struct err *err)
{
    const char *external = cli_option(c, "external-id"), *controller = cli_option(c, "controller-arn"),
               *folder = cli_option(c, "out");
    if (!external || !controller || !folder)
        return err_set(err, CLI_BAD_USAGE, "--external-id, --controller-arn and --out: must be set");
    autojson json_t *stack = aws_artefact_cloudformation(c->arguments[0], external, controller);
    autojson json_t *terraform = aws_artefact_terraform(c->arguments[0], external, controller);
    autojson json_t *buckets = aws_artefact_buckets_cloudformation(c->arguments[0]);
    autojson json_t *module = aws_artefact_buckets_terraform(c->arguments[0]);
    int r = artefact_write(folder, &(struct artefact){stack, terraform, buckets, module}, err);
    if (r == 0)
        ui_line(&c->ui, "%s/cloudformation.json, %s/terraform/main.tf.json", folder, folder);
    return r;
}

static const struct cli_option artefact_options[] = {
    {"external-id", 0, "TEXT", "the account's, as the control plane made it"},
    {"controller-arn", 0, "ARN", "the principal that the controller acts as"},
    {"out", 'o', "FOLDER", "where it is written"},
    {NULL},
};
static const struct cli_option generate_options[] = {
    {"phase", 0, "PHASE", "only inspect, provision, operate or remove"},
    {"account-id", 0, "DIGITS", "the AWS account"},
    {"role-path", 0, "PATH", "IAM path of the roles (default /ownhouse/)"},
    {"own-network", 0, NULL, "without rights to make a network"},
    {"own-identities", 0, NULL, "without rights to make roles"},
    {"own-key", 0, NULL, "without rights to make a key"},
    {"no-cluster", 0, NULL, "without an EKS cluster"},
    {"zone", 0, NULL, "with a Route 53 zone"},
    {"connections", 0, NULL, "with VPC peering, PrivateLink and flow logs"},
    {"delete-data", 0, NULL, "the remove role may delete data"},
    {NULL},
};

static const struct cli_command subcommands[] = {
    {.name = "generate",
     .arguments = "NAME",
     .summary = "Prints the least policies of an account's roles.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = generate_options,
     .run = generate_run},
    {.name = "artefact",
     .arguments = "NAME",
     .summary = "Writes the template and the module that hold these policies.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = artefact_options,
     .run = artefact_run},
    {.name = "lint",
     .arguments = "FILE",
     .summary = "Looks in policies for ways to more rights than meant.",
     .min_arguments = 1,
     .max_arguments = 1,
     .run = lint_run},
    {.name = "diff",
     .arguments = "BEFORE AFTER",
     .summary = "Says what rights a newer release adds or gives up.",
     .min_arguments = 2,
     .max_arguments = 2,
     .run = diff_run},
    {NULL},
};

const struct cli_command policy_command = {
    .name = "policy",
    .arguments = "COMMAND",
    .summary = "Generates, lints and compares the policies of a cloud account's roles.",
    .subcommands = subcommands,
};
