/* Judges a tailnet's policy: does anything in it reach the gate that must not? */
#include "blueprint/tailnet.h"

#include "base/mem.h"

#define ITEMS_MAX 2000

/* ---- human JSON ---- */

/* Past the comment that begins at text[i]; 0: it has no end. */
static size_t comment_end(const char *text, size_t len, size_t i)
{
    bool line = text[i + 1] == '/';
    for (i += 2; i < len; i++) {
        if (line && text[i] == '\n')
            return i;
        if (!line && text[i] == '*' && i + 1 < len && text[i + 1] == '/')
            return i + 2;
    }
    return line ? len : 0;
}

/* Past the string that begins at text[i]; 0: it has no end. */
static size_t string_end(const char *text, size_t len, size_t i)
{
    for (i++; i < len; i++) {
        if (text[i] == '\\')
            i++;
        else if (text[i] == '"')
            return i + 1;
    }
    return 0;
}

static void blank(struct buf *out, const char *text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        buf_addc(out, text[i] == '\n' ? '\n' : ' ');
}

int tailnet_hujson(const char *text, size_t len, struct buf *out, struct err *err)
{
    size_t comma = SIZE_MAX; /* in out: the last thing that was not blank, if it is one */
    for (size_t i = 0, to; i < len; i = to) {
        char c = text[i];
        to = i + 1;
        if (c == '/' && to < len && (text[to] == '/' || text[to] == '*')) {
            if (!(to = comment_end(text, len, i)))
                return err_set(err, -EINVAL, "a comment has no end");
            blank(out, text, i, to);
            continue;
        }
        if (c == '"' && !(to = string_end(text, len, i)))
            return err_set(err, -EINVAL, "a string has no end");
        if ((c == '}' || c == ']') && comma != SIZE_MAX)
            out->data[comma] = ' ';
        if (!strchr(" \t\r\n", c) || !c)
            comma = c == ',' ? out->len : SIZE_MAX;
        buf_add(out, text + i, to - i);
    }
    return 0;
}

/* ---- words of the policy ---- */

struct checking {
    const json_t *policy;
    const struct tailnet_tags *tags;
    int port;
    bool open;
    struct err *err;
};

static bool tag_valid(const char *text)
{
    return !strncmp(text, "tag:", 4) && ((text[4] >= 'a' && text[4] <= 'z') || (text[4] >= 'A' && text[4] <= 'Z')) &&
           strspn(text + 4, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == strlen(text + 4);
}

/* "443" or "80-443", nothing else. */
static bool ports_parse(const char *text, int *ret_first, int *ret_last)
{
    int n = 0, first = 0, last = 0;
    if (sscanf(text, "%5d-%5d%n", &first, &last, &n) == 2 && !text[n] && *text != '-') {
        *ret_first = first;
        *ret_last = last;
        return first >= 0 && last <= 65535 && first <= last && !strpbrk(text, "+ ");
    }
    if (!*text || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
        return false;
    *ret_first = *ret_last = atoi(text);
    return *ret_last <= 65535;
}

/* The "ip" of a grant: "*", ports, PROTOCOL:ports or PROTOCOL:*. *ret_tcp: what of it is TCP. */
static bool capability_parse(const char *text, int *ret_first, int *ret_last, bool *ret_tcp)
{
    const char *colon = strchr(text, ':'), *ports = colon ? colon + 1 : text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    *ret_first = 0;
    *ret_last = 65535;
    *ret_tcp = !colon || (len == 3 && !strncmp(text, "tcp", 3)) || (len == 1 && *text == '6');
    if (colon && (!len || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") < len))
        return false;
    return !strcmp(ports, "*") || ports_parse(ports, ret_first, ret_last);
}

/* May this selector mean the gate's machine? Devices with tags are nobody's own, so people, groups and their autogroups
 * do not reach them; of addresses, networks and names of these it cannot be seen here, so they count as yes. */
static bool reaches(const struct checking *c, const char *selector)
{
    static const char *const others[] = {
        "autogroup:self",   "autogroup:member", "autogroup:internet", "autogroup:admin",
        "autogroup:shared", "autogroup:owner",  "autogroup:it-admin", NULL};
    for (size_t i = 0; others[i]; i++)
        if (!strcmp(selector, others[i]))
            return false;
    if (!strncmp(selector, "tag:", 4))
        return !strcmp(selector, c->tags->gate);
    return strncmp(selector, "group:", 6) != 0 && !strchr(selector, '@');
}

static int fault(struct checking *c, const char *section, size_t i, const char *sentence, const char *word)
{
    return err_set(c->err, -EINVAL, "%s[%zu]: %s: \"%.80s\"", section, i, sentence, word);
}

/* A list of words in a rule. */
static int word_list(struct checking *c, const json_t *rule, const char *section, size_t i, const char *key,
                     bool needed, const json_t **ret)
{
    const json_t *list = json_object_get(rule, key), *v;
    size_t k;
    *ret = list;
    if (!list && !needed)
        return 0;
    if (!json_is_array(list) || !json_array_size(list) || json_array_size(list) > ITEMS_MAX)
        return fault(c, section, i, "must be a list that is not empty", key);
    json_array_foreach(list, k, v)
    {
        const char *word = json_string_value(v);
        if (!word || !*word)
            return fault(c, section, i, "must list words", key);
        if (!strncmp(word, "tag:", 4) && (!strcmp(key, "src") || !strcmp(section, "grants")) && !tag_valid(word))
            return fault(c, section, i, "is no tag: letters, digits and hyphens, a letter first", word);
    }
    return 0;
}

static bool list_reaches(const struct checking *c, const json_t *list, const char **ret_word)
{
    const json_t *v;
    size_t k;
    json_array_foreach(list, k, v)
    {
        if (reaches(c, *ret_word = json_string_value(v)))
            return true;
    }
    return false;
}

static bool only_word(const json_t *list, const char *word)
{
    return json_array_size(list) == 1 && !strcmp(json_string_value(json_array_get(list, 0)), word);
}

/* ---- sections ---- */

static int check_sections(struct checking *c)
{
    static const char *const known[] = {"grants",
                                        "acls",
                                        "ssh",
                                        "autoApprovers",
                                        "nodeAttrs",
                                        "postures",
                                        "tagOwners",
                                        "groups",
                                        "hosts",
                                        "ipsets",
                                        "tests",
                                        "sshTests",
                                        "derpMap",
                                        "disableIPv4",
                                        "randomizeClientPort",
                                        "OneCGNATRoute",
                                        "defaultSrcPosture",
                                        NULL};
    static const char *const lists[] = {"grants", "acls", "ssh", "nodeAttrs", "tests", "sshTests", NULL};
    if (!json_is_object(c->policy))
        return err_set(c->err, -EINVAL, "a policy must be an object");
    int r = js_only(c->policy, "", known, c->err);
    for (size_t i = 0; r == 0 && lists[i]; i++) {
        const json_t *list = json_object_get(c->policy, lists[i]), *v;
        size_t k;
        if (list && (!json_is_array(list) || json_array_size(list) > ITEMS_MAX))
            r = err_set(c->err, -EINVAL, "%s: must be a list of at most %d", lists[i], ITEMS_MAX);
        json_array_foreach(list, k, v)
        {
            if (r == 0 && !json_is_object(v))
                r = err_set(c->err, -EINVAL, "%s[%zu]: must be an object", lists[i], k);
        }
    }
    return r;
}

static int check_owners(struct checking *c)
{
    const char *const ours[] = {c->tags->gate, c->tags->engineer};
    json_t *owners = NULL, *list;
    const char *tag;
    int r = js_object(c->policy, "", "tagOwners", &owners, c->err);
    if (r < 0)
        return r;
    json_object_foreach(owners, tag, list)
    {
        if (!tag_valid(tag))
            return err_set(c->err, -EINVAL,
                           "tagOwners: \"%.80s\" is no tag: letters, digits and hyphens, a letter first", tag);
        if (!json_is_array(list))
            return err_set(c->err, -EINVAL, "tagOwners.%.80s: must be a list", tag);
    }
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        list = json_object_get(owners, ours[i]);
        if (!list || !json_is_string(json_array_get(list, 0)) || !only_word(list, c->tags->provisioner))
            return err_set(c->err, -EINVAL,
                           "tagOwners: %s must be owned by %s alone: whoever owns it can bring a machine in its place",
                           ours[i], c->tags->provisioner);
    }
    list = json_object_get(owners, c->tags->provisioner);
    if (!json_is_array(list) || json_array_size(list))
        return err_set(c->err, -EINVAL, "tagOwners: %s must be there with an empty list: administrators alone give it",
                       c->tags->provisioner);
    return 0;
}

static int check_grant(struct checking *c, const json_t *rule, size_t i)
{
    const json_t *src, *dst, *ip, *v;
    const char *word = "";
    char want[24];
    size_t k;
    int r = word_list(c, rule, "grants", i, "src", true, &src);
    if (r == 0)
        r = word_list(c, rule, "grants", i, "dst", true, &dst);
    if (r == 0)
        r = word_list(c, rule, "grants", i, "ip", !json_object_get(rule, "app"), &ip);
    if (r < 0)
        return r;
    json_array_foreach(ip, k, v)
    {
        int first, last;
        bool tcp;
        if (!capability_parse(json_string_value(v), &first, &last, &tcp))
            return fault(c, "grants", i, "ip must hold *, PORT, PORT-PORT or PROTOCOL:PORT", json_string_value(v));
    }
    if (!list_reaches(c, dst, &word))
        return 0;
    if (json_object_get(rule, "app"))
        return fault(c, "grants", i, "an application capability reaches the gate through", word);
    snprintf(want, sizeof(want), "tcp:%d", c->port);
    if (!only_word(dst, c->tags->gate))
        return fault(c, "grants", i, "reaches the gate, or may, by another name than its tag alone", word);
    if (!only_word(src, c->tags->engineer))
        return fault(c, "grants", i, "lets others to the gate than the engineers' tag",
                     json_string_value(json_array_get(src, 0)));
    if (!only_word(ip, want))
        return fault(c, "grants", i, "opens more of the gate's machine than its port",
                     json_string_value(json_array_get(ip, 0)));
    c->open = true;
    return 0;
}

/* The older rules: "dst" is SELECTOR:PORTS. The gate is opened by grants alone, so that there is one place to look. */
static int check_acl(struct checking *c, const json_t *rule, size_t i)
{
    const json_t *dst, *v;
    size_t k;
    int r = word_list(c, rule, "acls", i, "dst", true, &dst);
    if (r < 0)
        return r;
    json_array_foreach(dst, k, v)
    {
        autofree char *word = mem_strdup(json_string_value(v));
        char *colon = strrchr(word, ':');
        if (!colon)
            return fault(c, "acls", i, "dst must be SELECTOR:PORTS", word);
        *colon = '\0';
        if (reaches(c, word))
            return fault(c, "acls", i, "reaches the gate, or may: only a grant may", json_string_value(v));
    }
    return 0;
}

static int check_other(struct checking *c, const char *section, const char *key, const char *sentence)
{
    const json_t *list = json_object_get(c->policy, section), *rule;
    size_t i;
    json_array_foreach(list, i, rule)
    {
        const json_t *words;
        const char *word = "";
        int r = word_list(c, rule, section, i, key, true, &words);
        if (r < 0)
            return r;
        if (list_reaches(c, words, &word))
            return fault(c, section, i, sentence, word);
    }
    return 0;
}

/* Who may announce routes without being asked: never the gate's machine. */
static int check_approvers(struct checking *c, const json_t *v)
{
    const json_t *item;
    const char *key;
    size_t i;
    if (json_is_string(v) &&
        (!strcmp(json_string_value(v), c->tags->gate) || !strcmp(json_string_value(v), c->tags->engineer)))
        return err_set(c->err, -EINVAL, "autoApprovers: %s must not announce routes", json_string_value(v));
    int r = 0;
    json_array_foreach(v, i, item)
    {
        if (r == 0)
            r = check_approvers(c, item);
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, item)
    {
        if (r == 0)
            r = check_approvers(c, item);
    }
    return r;
}

/* ---- the file's own tests ---- */

static bool list_has(const json_t *list, const char *word)
{
    const json_t *v;
    size_t k;
    json_array_foreach(list, k, v)
    {
        const char *has = json_string_value(v);
        if (!strcmp(has, word) || !strcmp(has, "*") || !strcmp(has, "autogroup:tagged") ||
            !strcmp(has, "autogroup:danger-all"))
            return true;
    }
    return false;
}

static bool allowed(const struct checking *c, const char *from, const char *to, int port)
{
    const json_t *grants = json_object_get(c->policy, "grants"), *rule, *v;
    size_t i, k;
    json_array_foreach(grants, i, rule)
    {
        if (!list_has(json_object_get(rule, "src"), from) || !list_has(json_object_get(rule, "dst"), to))
            continue;
        json_array_foreach(json_object_get(rule, "ip"), k, v)
        {
            int first = 0, last = 0;
            bool tcp = false;
            if (capability_parse(json_string_value(v), &first, &last, &tcp) && tcp && port >= first && port <= last)
                return true;
        }
    }
    return false;
}

static int check_expected(struct checking *c, const json_t *test, size_t i, const char *key, bool want)
{
    const json_t *list = json_object_get(test, key), *v;
    const char *from = json_string_value(json_object_get(test, "src"));
    size_t k;
    if (list && !json_is_array(list))
        return fault(c, "tests", i, "must be a list", key);
    json_array_foreach(list, k, v)
    {
        autofree char *to = mem_strdup(json_string_value(v) ? json_string_value(v) : "");
        char *colon = strrchr(to, ':');
        int port = 0, last = 0;
        if (!colon || colon == to || !ports_parse(colon + 1, &port, &last) || port != last)
            return fault(c, "tests", i, "must be SELECTOR:PORT with one port", to);
        *colon = '\0';
        /* Of people and addresses this file alone does not say who they are; acls are not weighed. */
        bool weighed = !strncmp(from, "tag:", 4) && !strncmp(to, "tag:", 4) && !json_object_get(c->policy, "acls");
        if (weighed && allowed(c, from, to, port) != want)
            return fault(c, "tests", i,
                         want ? "the rules do not allow what must be accepted" : "the rules allow what must be denied",
                         json_string_value(v));
    }
    return 0;
}

static int check_tests(struct checking *c)
{
    const json_t *list = json_object_get(c->policy, "tests"), *test;
    size_t i;
    json_array_foreach(list, i, test)
    {
        if (!json_is_string(json_object_get(test, "src")))
            return fault(c, "tests", i, "must be one selector", "src");
        int r = check_expected(c, test, i, "accept", true);
        if (r == 0)
            r = check_expected(c, test, i, "deny", false);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check(struct checking *c)
{
    const json_t *rule;
    size_t i;
    int r = check_sections(c);
    if (r == 0)
        r = check_owners(c);
    json_array_foreach(json_object_get(c->policy, "grants"), i, rule)
    {
        if (r == 0)
            r = check_grant(c, rule, i);
    }
    json_array_foreach(json_object_get(c->policy, "acls"), i, rule)
    {
        if (r == 0)
            r = check_acl(c, rule, i);
    }
    if (r == 0)
        r = check_other(c, "ssh", "dst", "opens a shell on the gate's machine, or may, through");
    if (r == 0)
        r = check_other(c, "nodeAttrs", "target", "gives the gate's machine attributes, or may, through");
    if (r == 0)
        r = check_approvers(c, json_object_get(c->policy, "autoApprovers"));
    return r < 0 ? r : check_tests(c);
}

int tailnet_check(const char *text, size_t len, const struct tailnet_tags *tags, int port, bool *ret_open,
                  struct err *err)
{
    autobuf struct buf plain = BUF_INIT;
    autojson json_t *policy = NULL;
    if (len > TAILNET_POLICY_MAX)
        return err_set(err, -EMSGSIZE, "a policy may have %zu bytes, this one has %zu", TAILNET_POLICY_MAX, len);
    int r = tailnet_hujson(text, len, &plain, err);
    if (r == 0)
        r = js_parse(plain.data, plain.len, TAILNET_POLICY_MAX, &policy, err);
    struct checking c = {.policy = policy, .tags = tags, .port = port, .err = err};
    if (r == 0)
        r = check(&c);
    if (r == 0)
        *ret_open = c.open;
    return r;
}
