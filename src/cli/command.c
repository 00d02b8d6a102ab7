/* Parsing by table, running, and turning results into exit codes. */
#include "cli/command.h"

#include "base/mem.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>

/* Taken by every command. */
static const struct cli_option common_options[] = {
    {"home", 0, "DIR", "folder of this installation's state (default: $XDG_DATA_HOME/ownhouse)"},
    {"json", 0, NULL, "answer with one JSON value on standard output"},
    {"help", 'h', NULL, "say what the command does and how it is called"},
    {NULL},
};

enum { OPT_COMMON = 1000, OPT_OWN = 2000 }; /* getopt values: base + place in the table */

int cli_exit_code(int r)
{
    switch (r) {
    case 0:
        return CLI_OK;
    case -ENOENT:
        return CLI_NOT_FOUND;
    case -EACCES:
    case -EPERM:
    case -ECANCELED:
        return CLI_REFUSED;
    case -ECONNREFUSED:
    case -EHOSTUNREACH:
        return CLI_UNREACHABLE;
    case -ETIMEDOUT:
        return CLI_TIMED_OUT;
    case CLI_BAD_USAGE:
        return CLI_USAGE;
    default:
        return CLI_FAILED;
    }
}

const char *cli_option(const struct cli *c, const char *name)
{
    const struct cli_option *o = c->command->options;
    for (size_t i = 0; o && o[i].name; i++)
        if (!strcmp(o[i].name, name))
            return c->values[i];
    abort();
}

int cli_option_int(const struct cli *c, const char *name, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
    const char *text = cli_option(c, name);
    char *end;
    if (!text)
        return 0;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < min || n > max)
        return err_set(err, CLI_BAD_USAGE, "--%s: must be a whole number from %lld to %lld, not \"%.40s\"", name,
                       (long long)min, (long long)max, text);
    *ret = n;
    return 0;
}

char *cli_path(const struct cli *c, const char *fmt, ...)
{
    char *below = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&below, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    char *path = mem_printf("%s/%s", c->home, below);
    free(below);
    return path;
}

static char *default_home(void)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && *data == '/')
        return mem_printf("%s/ownhouse", data);
    return mem_printf("%s/.local/share/ownhouse", home && *home == '/' ? home : "/root");
}

static int set_home(struct cli *c, const char *dir, struct err *err)
{
    autofree char *cwd = NULL;
    if (!*dir)
        return err_set(err, CLI_BAD_USAGE, "--home: must name a folder");
    free(c->home);
    c->home = NULL;
    if (*dir == '/') {
        c->home = mem_strdup(dir);
    } else {
        cwd = getcwd(NULL, 0);
        if (!cwd)
            return err_set_errno(err, -errno, "--home: the current folder has no name");
        c->home = mem_printf("%s/%s", cwd, dir);
    }
    for (size_t n = strlen(c->home); n > 1 && c->home[n - 1] == '/';)
        c->home[--n] = 0;
    /* Addresses of Unix sockets are at most 107 bytes, and some lie a few folders below. */
    if (strlen(c->home) > 200)
        return err_set(err, CLI_BAD_USAGE, "--home: %s is longer than 200 bytes", c->home);
    return 0;
}

static void command_path(const struct cli_command *at, const struct cli_command *want, const char *prefix, char **ret)
{
    autofree char *path = *prefix ? mem_printf("%s %s", prefix, at->name) : mem_strdup(at->name);
    if (at == want) {
        free(*ret);
        *ret = mem_strdup(path);
    }
    for (const struct cli_command *s = at->subcommands; s && s->name; s++)
        command_path(s, want, path, ret);
}

static void print_options(FILE *f, const struct cli_option *options)
{
    for (const struct cli_option *o = options; o && o->name; o++) {
        char left[64], letter[8] = "    ";
        if (o->letter)
            snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        fprintf(f, "  %-28s %s\n", left, o->help);
    }
}

static void print_help(const struct cli *c, const struct cli_command *command, FILE *f)
{
    autofree char *path = NULL;
    command_path(c->root, command, "", &path);
    if (command->subcommands)
        fprintf(f, "usage: %s COMMAND\n\n%s\n\ncommands:\n", path, command->summary);
    else
        fprintf(f, "usage: %s%s%s [options]\n\n%s\n", path, *command->arguments ? " " : "", command->arguments,
                command->summary);
    for (const struct cli_command *s = command->subcommands; s && s->name; s++) {
        autofree char *left = mem_printf("%s%s%s", s->name, *s->arguments ? " " : "", s->arguments);
        fprintf(f, "  %-28s %s\n", left, s->summary);
    }
    if (command->details)
        fprintf(f, "\n%s\n", command->details);
    fputs("\noptions:\n", f);
    print_options(f, command->options);
    print_options(f, common_options);
}

static int add_option(const struct cli_option *o, int value, struct option *longs, size_t *n, char *shorts)
{
    longs[(*n)++] = (struct option){o->name, o->argument ? required_argument : no_argument, NULL, value};
    if (o->letter)
        snprintf(shorts + strlen(shorts), 4, "%c%s", o->letter, o->argument ? ":" : "");
    return 0;
}

static int option_by_letter(const struct cli_command *command, int letter)
{
    for (int i = 0; common_options[i].name; i++)
        if (common_options[i].letter == letter)
            return OPT_COMMON + i;
    for (int i = 0; command->options && command->options[i].name; i++)
        if (command->options[i].letter == letter)
            return OPT_OWN + i;
    return -1;
}

static int take_option(struct cli *c, int value, const char *text, bool *help, struct err *err)
{
    if (value >= OPT_OWN) {
        c->values[value - OPT_OWN] = text ? text : "";
        return 0;
    }
    const char *name = common_options[value - OPT_COMMON].name;
    if (!strcmp(name, "help"))
        *help = true;
    else if (!strcmp(name, "json"))
        c->json = true;
    else
        c->home_given = true;
    return c->home_given && !strcmp(name, "home") ? set_home(c, text, err) : 0;
}

/* One level of options: up to the first word when the command has subcommands, all of them otherwise. */
static int parse_level(struct cli *c, int argc, char **argv, bool *help, struct err *err)
{
    struct option longs[CLI_MAX_OPTIONS + ARRAY_SIZE(common_options)] = {{0}};
    char shorts[3 * CLI_MAX_OPTIONS + 8];
    size_t n = 0;
    strcpy(shorts, c->command->subcommands ? "+:" : ":");
    for (int i = 0; common_options[i].name; i++)
        add_option(&common_options[i], OPT_COMMON + i, longs, &n, shorts);
    for (int i = 0; c->command->options && c->command->options[i].name; i++) {
        assert(i < CLI_MAX_OPTIONS);
        add_option(&c->command->options[i], OPT_OWN + i, longs, &n, shorts);
    }
    optind = 0;
    opterr = 0;
    for (int v; (v = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (v == ':')
            return err_set(err, CLI_BAD_USAGE, "%s needs a value", argv[optind - 1]);
        if (v == '?' && optopt && optopt < 256)
            return err_set(err, CLI_BAD_USAGE, "-%c is not an option of this command", optopt);
        if (v == '?')
            return err_set(err, CLI_BAD_USAGE, "%s is not an option of this command, or takes no value",
                           argv[optind - 1]);
        int r = take_option(c, v >= OPT_COMMON ? v : option_by_letter(c->command, v), optarg, help, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct cli_command *find(const struct cli_command *list, const char *name)
{
    for (const struct cli_command *s = list; s && s->name; s++)
        if (!strcmp(s->name, name))
            return s;
    return NULL;
}

static int parse(struct cli *c, int argc, char **argv, bool *help, struct err *err)
{
    for (;;) {
        int r = parse_level(c, argc, argv, help, err);
        if (r < 0)
            return r;
        argc -= optind;
        argv += optind;
        if (!c->command->subcommands)
            break;
        if (*help)
            return 0;
        if (argc == 0 && c->command->default_subcommand) {
            c->command = find(c->command->subcommands, c->command->default_subcommand);
            break;
        }
        if (argc == 0)
            return err_set(err, CLI_BAD_USAGE, "which command? `%s --help` lists them", c->root->name);
        const struct cli_command *sub = find(c->command->subcommands, argv[0]);
        if (!sub)
            return err_set(err, CLI_BAD_USAGE, "%.60s: no such command", argv[0]);
        c->command = sub;
    }
    c->arguments = (const char *const *)argv;
    c->n_arguments = argc;
    if (*help)
        return 0;
    if (argc < c->command->min_arguments)
        return err_set(err, CLI_BAD_USAGE, "%s: needs %s", c->command->name, c->command->arguments);
    if (argc > c->command->max_arguments)
        return err_set(err, CLI_BAD_USAGE, "%s: \"%.60s\" is one word too many", c->command->name,
                       argv[c->command->max_arguments]);
    return 0;
}

static const char *const exit_names[] = {"ok", "failed", "usage", "notFound", "refused", "unreachable", "timedOut"};

static void report(struct cli *c, int r, const struct err *err)
{
    int code = cli_exit_code(r);
    const char *message = err->message[0] ? err->message : strerror(-r);
    fflush(stdout);
    fprintf(stderr, "ownhouse: %s\n", message);
    if (code == CLI_USAGE) {
        autofree char *path = NULL;
        command_path(c->root, c->command, "", &path);
        fprintf(stderr, "try: %s --help\n", path);
    }
    if (c->json) {
        if (!c->answered || !json_is_object(c->answer)) {
            json_decref(c->answer);
            c->answer = json_object();
        }
        json_object_set_new(c->answer, "error",
                            json_pack("{s:s,s:i,s:s}", "code", exit_names[code], "exit", code, "message", message));
    }
}

int cli_main(const struct cli_command *root, int argc, char **argv)
{
    struct cli c = {.root = root, .command = root, .home = default_home()};
    struct err err = ERR_INIT;
    bool help = false;
    int r = parse(&c, argc, argv, &help, &err);
    ui_init(&c.ui, stdout, c.json);
    if (r == 0 && help) {
        print_help(&c, c.command, stdout);
    } else {
        if (r == 0)
            r = c.command->run(&c, &err);
        ui_end(&c.ui);
        if (r < 0)
            report(&c, r, &err);
        if (c.json) {
            autofree char *text = c.answer ? json_dumps(c.answer, JSON_INDENT(2) | JSON_ENCODE_ANY) : mem_strdup("{}");
            puts(text);
        }
    }
    json_decref(c.answer);
    free(c.home);
    if (fflush(stdout) == EOF && r == 0)
        r = -EIO;
    return cli_exit_code(r);
}

static int help_run(struct cli *c, struct err *err)
{
    const struct cli_command *at = c->root;
    for (int i = 0; i < c->n_arguments; i++) {
        at = find(at->subcommands, c->arguments[i]);
        if (!at)
            return err_set(err, -ENOENT, "%.60s: no such command", c->arguments[i]);
    }
    if (!c->json) {
        print_help(c, at, stdout);
        return 0;
    }
    c->answer = json_pack("{s:s,s:s,s:s,s:[],s:[]}", "name", at->name, "arguments", at->arguments, "summary",
                          at->summary, "options", "commands");
    for (const struct cli_command *s = at->subcommands; s && s->name; s++)
        json_array_append_new(json_object_get(c->answer, "commands"), json_string(s->name));
    for (const struct cli_option *o = at->options; o && o->name; o++)
        json_array_append_new(json_object_get(c->answer, "options"), json_string(o->name));
    return 0;
}

const struct cli_command cli_help_command = {
    .name = "help",
    .arguments = "[COMMAND...]",
    .summary = "Says what a command does and how it is called.",
    .max_arguments = 3,
    .run = help_run,
};

static void complete(const struct cli_command *at, const char *path)
{
    printf("        '%s') words='", path);
    for (const struct cli_command *s = at->subcommands; s && s->name; s++)
        printf("%s ", s->name);
    for (const struct cli_option *o = at->options; o && o->name; o++)
        printf("--%s ", o->name);
    puts("--home --json --help';;");
    for (const struct cli_command *s = at->subcommands; s && s->name; s++) {
        autofree char *below = *path ? mem_printf("%s %s", path, s->name) : mem_strdup(s->name);
        complete(s, below);
    }
}

static int completion_run(struct cli *c, struct err *err)
{
    if (strcmp(c->arguments[0], "bash"))
        return err_set(err, CLI_BAD_USAGE, "completion: knows bash, not \"%.20s\"", c->arguments[0]);
    if (c->json)
        return err_set(err, CLI_BAD_USAGE, "completion: has no JSON form");
    puts("# Completion for ownhouse: source it, or put it in /etc/bash_completion.d/ownhouse\n"
         "_ownhouse() {\n"
         "    local words path= i\n"
         "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "        case ${COMP_WORDS[i]} in -*) ;; *) path=\"${path:+$path }${COMP_WORDS[i]}\";; esac\n"
         "    done\n"
         "    case \"$path\" in");
    complete(c->root, "");
    puts("        *) words='--home --json --help';;\n"
         "    esac\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
         "}\n"
         "complete -o default -F _ownhouse ownhouse");
    return 0;
}

const struct cli_command cli_completion_command = {
    .name = "completion",
    .arguments = "bash",
    .summary = "Prints a completion script for the shell.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = completion_run,
};
