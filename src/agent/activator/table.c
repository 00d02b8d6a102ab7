/* Reads the activator's table line by line. */
#include "agent/activator/table.h"

#include "blueprint/desired.h"
#include "blueprint/names.h"

static bool host_valid(const char *host)
{
    return names_address_valid(host) || names_domain_valid(host);
}

static int take_hosts(char *text, struct table_service *s)
{
    for (char *host; (host = strsep(&text, ","));) {
        if (s->n_hosts == TABLE_MAX_HOSTS || !host_valid(host))
            return -EINVAL;
        s->hosts[s->n_hosts++] = host;
    }
    return 0;
}

static int take_line(char *line, struct table_service *s, struct err *err, size_t number)
{
    char *rest = line, *ordinal = strsep(&rest, " "), *slug = strsep(&rest, " "), *hosts = strsep(&rest, " "), *end;
    if (!ordinal || !slug || !hosts || rest)
        return err_set(err, -EINVAL, "line %zu: must be ORDINAL SLUG HOST[,HOST...]", number);
    long n = strtol(ordinal, &end, 10);
    if (!*ordinal || *end || strspn(ordinal, "0123456789") != strlen(ordinal) || n < 1 || n > DESIRED_MAX_SERVICES)
        return err_set(err, -EINVAL, "line %zu: the ordinal must be 1 to %d", number, DESIRED_MAX_SERVICES);
    if (!names_label_valid(slug))
        return err_set(err, -EINVAL, "line %zu: the slug must be a DNS label", number);
    s->ordinal = (int)n;
    s->slug = slug;
    if (take_hosts(hosts, s) < 0)
        return err_set(err, -EINVAL, "line %zu: hosts must be 1 to %d addresses or DNS names", number, TABLE_MAX_HOSTS);
    return 0;
}

static size_t count_lines(const char *text)
{
    size_t n = 1;
    while ((text = strchr(text, '\n'))) {
        text++;
        n++;
    }
    return n;
}

static int take_lines(char *rest, struct table *t, struct err *err)
{
    bool seen[DESIRED_MAX_SERVICES + 1] = {false};
    size_t number = 0;
    for (char *line; (line = strsep(&rest, "\n"));) {
        number++;
        if (!*line || *line == '#')
            continue;
        struct table_service *s = &t->items[t->n];
        int r = take_line(line, s, err, number);
        if (r < 0)
            return r;
        if (seen[s->ordinal])
            return err_set(err, -EINVAL, "line %zu: the ordinal %d is there twice", number, s->ordinal);
        seen[s->ordinal] = true;
        t->n++;
    }
    return 0;
}

int table_parse(const char *text, size_t len, struct table *ret, struct err *err)
{
    struct table t = {0};
    if (len > TABLE_MAX_BYTES)
        return err_set(err, -EMSGSIZE, "must be at most %zu bytes", (size_t)TABLE_MAX_BYTES);
    if (memchr(text, '\0', len))
        return err_set(err, -EINVAL, "must be text");
    t.arena = arena_new();
    char *copy = arena_strndup(t.arena, text, len);
    /* A service has a line; more lines than services are an error before they cost memory. */
    size_t lines = MIN(count_lines(copy), (size_t)DESIRED_MAX_SERVICES + 1);
    t.items = arena_alloc(t.arena, lines * sizeof(*t.items));
    int r = take_lines(copy, &t, err);
    if (r < 0) {
        table_free(&t);
        return r;
    }
    *ret = t;
    return 0;
}

void table_free(struct table *t)
{
    arena_free(t->arena);
    *t = (struct table){0};
}
