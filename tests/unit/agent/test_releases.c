/* The list of releases: only what the release key signed, only what is in it, never an older one. */
#include "../test.h"
#include "agent/releases.h"
#include "base/fs.h"
#include "base/js.h"

#define CLICKHOUSE "clickhouse/clickhouse-server@sha256:" DIGITS
#define HAPROXY "ownhouse/haproxy@sha256:" DIGITS
#define DIGITS "1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER "2222222222222222222222222222222222222222222222222222222222222222"

struct place {
    char *dir, *list, *state;
    struct signing_key *key;
    struct bundle bundle;
    struct agent_config config;
};

static int setup(void **state)
{
    struct place *p = mem_alloc(sizeof(*p));
    void *dir = NULL;
    if (scratch_setup(&dir) < 0)
        return -1;
    p->dir = dir;
    p->list = mem_printf("%s/releases.json", p->dir);
    p->state = mem_printf("%s/state", p->dir);
    p->key = signing_key_new();
    p->bundle.has_release_key = true;
    signing_key_public(p->key, p->bundle.release_key);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    void *dir = p->dir;
    agent_config_free(&p->config);
    signing_key_free(p->key);
    free(p->list);
    free(p->state);
    free(p);
    return scratch_teardown(&dir);
}

static void configure(struct place *p, const char *lines)
{
    autofree char *text = mem_printf("home = %s\nreleases = %s\n%s", p->dir, p->list, lines);
    struct err err = ERR_INIT;
    agent_config_free(&p->config);
    if (agent_config_parse("agent.conf", text, strlen(text), &p->config, &err) < 0)
        fail_msg("%s", err.message);
}

static void write_list(struct place *p, const struct signing_key *key, const char *document)
{
    unsigned char raw[ED25519_SIGNATURE_SIZE];
    char digest[65], hex[2 * sizeof(raw) + 1];
    sha256_hex(document, strlen(document), digest);
    autofree char *statement = mem_printf("ownhouse-releases-v1\n%s\n", digest), *text = NULL;
    signing_key_sign(key, statement, strlen(statement), raw);
    hex_encode(raw, sizeof(raw), hex);
    autojson json_t *v = json_pack("{si ss ss}", "v", 1, "document", document, "signature", hex);
    text = js_text(v);
    assert_int_equal(fs_write_atomic(p->list, text, strlen(text), 0600, NULL), 0);
}

static char *document(int serial, const char *image, const char *program)
{
    return mem_printf("{\"type\":\"ownhouse/releases\",\"v\":1,\"serial\":%d,\"issuedAt\":\"2026-11-23T00:00:00.000Z\","
                      "\"images\":[\"%s\",\"" HAPROXY "\"],\"programs\":[\"%s\"]}",
                      serial, image, program);
}

static void check(struct place *p, const char *program, int result, const char *said)
{
    struct err err = ERR_INIT;
    int r = releases_check(&p->bundle, &p->config, program, p->state, &err);
    if (r != result || !strstr(err.message, said))
        fail_msg("%d: %s", r, err.message);
}

static void images_are_those_of_the_list(void **state)
{
    struct place *p = *state;
    autofree char *first = document(3, CLICKHOUSE, DIGITS), *later = document(4, "other/image@sha256:" OTHER, DIGITS);
    configure(p, "runtime = kubernetes\nengine = clickhouse\nclickhouse_image = " CLICKHOUSE
                 "\nhaproxy_image = " HAPROXY "\n");
    check(p, "", -ENOENT, "there is no file");
    write_list(p, p->key, first);
    check(p, "", 0, "");
    write_list(p, p->key, later);
    check(p, "", -EACCES, "clickhouse_image: " CLICKHOUSE " is not in it");
    /* What was refused is not remembered: the list of before still holds. */
    write_list(p, p->key, first);
    check(p, "", 0, "");
    configure(p, "runtime = kubernetes\nengine = clickhouse\nhaproxy_image = " HAPROXY "\n");
    write_list(p, p->key, later);
    check(p, "", 0, "");
    write_list(p, p->key, first);
    check(p, "", -ESTALE, "serial 3 is below 4");
}

static void the_program_is_one_of_the_list(void **state)
{
    struct place *p = *state;
    autofree char *good = document(1, CLICKHOUSE, DIGITS);
    char own[65];
    configure(p, "runtime = process\n");
    write_list(p, p->key, good);
    check(p, DIGITS, 0, "");
    check(p, OTHER, -EACCES, OTHER);
    assert_int_equal(releases_program(own, NULL), 0);
    check(p, own, -EACCES, own);
}

static void only_the_release_key_signs(void **state)
{
    struct place *p = *state;
    autokey struct signing_key *stranger = signing_key_new();
    autofree char *good = document(1, CLICKHOUSE, DIGITS), *type = mem_strdup(good);
    configure(p, "runtime = process\n");
    write_list(p, stranger, good);
    check(p, DIGITS, -EBADMSG, "release key");
    write_list(p, p->key, "{\"type\":\"ownhouse/releases\",\"v\":1}");
    check(p, DIGITS, -EINVAL, "serial");
    memcpy(strstr(type, "releases"), "desireds", 8);
    write_list(p, p->key, type);
    check(p, DIGITS, -EINVAL, "type: must be");
    assert_int_equal(fs_write_atomic(p->list, "{", 1, 0600, NULL), 0);
    check(p, DIGITS, -EINVAL, "the list of releases");
    /* Without a release key nothing is asked; with one a list is needed. */
    p->bundle.has_release_key = false;
    check(p, DIGITS, 0, "");
    p->bundle.has_release_key = true;
    *p->config.releases = '\0';
    check(p, DIGITS, -EACCES, "set `releases`");
}

static void wanted(struct place *p, const char *agent, int result, const char *said)
{
    struct err err = ERR_INIT;
    char digest[65] = "";
    int r = releases_wanted(&p->bundle, &p->config, p->state, digest, &err);
    if (r != result || !strstr(err.message, said))
        fail_msg("%d: %s", r, err.message);
    assert_string_equal(digest, agent);
}

static char *asking(int serial, const char *program, const char *agent)
{
    return mem_printf("{\"type\":\"ownhouse/releases\",\"v\":1,\"serial\":%d,\"issuedAt\":\"2026-11-23T00:00:00.000Z\","
                      "\"images\":[],\"programs\":[\"%s\"],\"agent\":\"%s\"}",
                      serial, program, agent);
}

static void the_agent_is_asked_for(void **state)
{
    struct place *p = *state;
    autokey struct signing_key *stranger = signing_key_new();
    autofree char *none = document(2, CLICKHOUSE, DIGITS), *asks = asking(3, OTHER, OTHER),
                  *old = asking(1, OTHER, OTHER), *unlisted = asking(3, DIGITS, OTHER), *bad = asking(3, OTHER, "x");
    configure(p, "runtime = process\n");
    wanted(p, "", -ENOENT, "there is no file");
    write_list(p, p->key, none);
    check(p, DIGITS, 0, "");
    wanted(p, "", 0, "");
    write_list(p, p->key, asks);
    wanted(p, OTHER, 0, "");
    check(p, DIGITS, -EACCES, "is not in it");
    check(p, OTHER, 0, "");
    write_list(p, stranger, asks);
    wanted(p, "", -EBADMSG, "release key");
    write_list(p, p->key, old);
    wanted(p, "", -ESTALE, "serial 1 is below 3");
    write_list(p, p->key, unlisted);
    wanted(p, "", -EINVAL, "not among programs");
    write_list(p, p->key, bad);
    wanted(p, "", -EINVAL, "agent: must be");
}

static void wanted_image(struct place *p, const char *image, int result, const char *said)
{
    struct err err = ERR_INIT;
    char found[RELEASES_IMAGE_MAX + 1] = "", list[65] = "";
    int r = releases_wanted_image(&p->bundle, &p->config, p->state, found, list, &err);
    if (r != result || !strstr(err.message, said))
        fail_msg("%d: %s", r, err.message);
    assert_string_equal(found, image);
    assert_int_equal(strlen(list), r == 0 ? 64 : 0);
}

static char *asking_image(int serial, const char *listed, const char *image)
{
    return mem_printf("{\"type\":\"ownhouse/releases\",\"v\":1,\"serial\":%d,\"issuedAt\":\"2026-11-23T00:00:00.000Z\","
                      "\"images\":[\"" CLICKHOUSE "\",\"" HAPROXY "\",\"%s\"],\"programs\":[],\"agentImage\":\"%s\"}",
                      serial, listed, image);
}

static void the_agents_image_is_asked_for(void **state)
{
    static const char agent[] = "ownhouse/agent@sha256:" OTHER;
    struct place *p = *state;
    autokey struct signing_key *stranger = signing_key_new();
    autofree char *none = document(2, CLICKHOUSE, DIGITS), *asks = asking_image(3, agent, agent),
                  *old = asking_image(1, agent, agent), *unlisted = asking_image(3, "x", agent),
                  *tag = asking_image(3, "ownhouse/agent:latest", "ownhouse/agent:latest");
    configure(p, "runtime = kubernetes\nclickhouse_image = " CLICKHOUSE "\nhaproxy_image = " HAPROXY "\n");
    write_list(p, p->key, none);
    check(p, "", 0, "");
    wanted_image(p, "", 0, "");
    write_list(p, p->key, asks);
    wanted_image(p, agent, 0, "");
    write_list(p, stranger, asks);
    wanted_image(p, "", -EBADMSG, "release key");
    write_list(p, p->key, old);
    wanted_image(p, "", -ESTALE, "serial 1 is below 2");
    write_list(p, p->key, unlisted);
    wanted_image(p, "", -EINVAL, "agentImage");
    write_list(p, p->key, tag);
    wanted_image(p, "", -EINVAL, "by its digest");
    /* A new agent would not work with an image that its list does not name. */
    configure(p, "runtime = kubernetes\nclickhouse_image = other@sha256:" OTHER "\nhaproxy_image = " HAPROXY "\n");
    write_list(p, p->key, asks);
    wanted_image(p, "", -EACCES, "clickhouse_image");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(images_are_those_of_the_list), TEST(the_program_is_one_of_the_list), TEST(only_the_release_key_signs),
        TEST(the_agent_is_asked_for),       TEST(the_agents_image_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
