/* Signs requests given as JSON lines, for comparison with another signer: one {"target", "authorization"} a line.
 * aws-sign REGION CLUSTER SECONDS: the EKS token of that second, from the keys in the environment. */
#include "base/js.h"
#include "base/mem.h"
#include "cloud/aws/eks_token.h"

static size_t pairs(const json_t *list, struct sigv4_pair *out)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) out[i] =
        (struct sigv4_pair){json_string_value(json_array_get(v, 0)), json_string_value(json_array_get(v, 1))};
    return json_array_size(list);
}

static const char *text(const json_t *v, const char *key)
{
    return json_string_value(json_object_get(v, key));
}

static int sign_line(const char *line, size_t len)
{
    struct sigv4_pair query[SIGV4_PAIRS_MAX], headers[SIGV4_PAIRS_MAX];
    struct err err = ERR_INIT;
    struct sigv4_signed s = {0};
    autojson json_t *v = NULL, *out OH_CLEANUP(js_decrefp) = NULL;
    if (js_parse(line, len, MIB(1), &v, &err) < 0)
        return fprintf(stderr, "%s\n", err.message), 1;
    struct sigv4_request q = {.method = text(v, "method"),
                              .host = text(v, "host"),
                              .path = text(v, "path"),
                              .query = query,
                              .n_query = pairs(json_object_get(v, "query"), query),
                              .headers = headers,
                              .n_headers = pairs(json_object_get(v, "headers"), headers),
                              .payload_sha256 = text(v, "payload"),
                              .service = text(v, "service"),
                              .region = text(v, "region"),
                              .wall_ms = json_integer_value(json_object_get(v, "time")) * 1000};
    const struct sigv4_keys keys = {text(v, "id"), text(v, "secret"), text(v, "token")};
    if (sigv4_sign(&q, &keys, &s, &err) < 0)
        return fprintf(stderr, "%s\n", err.message), 1;
    out = json_pack("{s:s, s:s}", "target", s.target, "authorization", s.authorization);
    autofree char *answer = js_text(out);
    puts(answer);
    sigv4_signed_free(&s);
    return 0;
}

static int eks_token(char **argv)
{
    const struct sigv4_keys keys = {getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"),
                                    getenv("AWS_SESSION_TOKEN")};
    struct err err = ERR_INIT;
    autofree char *token = NULL;
    if (aws_eks_token(&keys, argv[1], argv[2], NULL, atoll(argv[3]) * 1000, &token, &err) < 0)
        return fprintf(stderr, "%s\n", err.message), 1;
    printf("{\"status\":{\"token\":\"%s\"}}\n", token);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return eks_token(argv);
    autofree char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0)
        if (sign_line(line, (size_t)n))
            return 1;
    return 0;
}
