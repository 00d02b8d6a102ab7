/* Makes EKS tokens from a person's own AWS keys. */
#include "cloud/aws/eks_token.h"

#include "base/mem.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define URL_SECONDS 60

int aws_eks_token(const struct sigv4_keys *keys, const char *region, const char *cluster, const char *sts,
                  int64_t wall_ms, char **ret, struct err *err)
{
    static const struct sigv4_pair query[] = {{"Action", "GetCallerIdentity"}, {"Version", "2011-06-15"}};
    const struct sigv4_pair headers[] = {{"x-k8s-aws-id", cluster}};
    autofree char *own = mem_printf("sts.%s.amazonaws.com%s", region, !strncmp(region, "cn-", 3) ? ".cn" : ""),
                  *target OH_CLEANUP(oh_freep) = NULL;
    struct sigv4_request q = {.method = "GET",
                              .host = sts ? sts : own,
                              .path = "/",
                              .query = query,
                              .n_query = ARRAY_SIZE(query),
                              .headers = headers,
                              .n_headers = ARRAY_SIZE(headers),
                              .payload_sha256 = EMPTY_SHA256,
                              .service = "sts",
                              .region = region,
                              .wall_ms = wall_ms};
    int r = sigv4_presign(&q, keys, URL_SECONDS, &target, err);
    if (r < 0)
        return r;
    autofree char *url = mem_printf("https://%s%s", q.host, target);
    autofree char *text = base64_encode(url, strlen(url));
    for (char *p = text; *p; p++) /* its letters for URLs, without padding */
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p == '=' ? '\0' : *p;
    *ret = mem_printf("k8s-aws-v1.%s", text);
    mem_wipe(url, strlen(url));
    mem_wipe(target, strlen(target));
    mem_wipe(text, strlen(text));
    return 0;
}
