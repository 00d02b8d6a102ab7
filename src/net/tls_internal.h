/* What net/tls.c and net/tls_ctx.c share: the structs behind tls.h. Not for other modules. */
#pragma once

#include "net/tls.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

struct tls_key {
    EVP_PKEY *pkey;
};

struct tls_cert {
    X509 *x509;
};

/* Facts of an X.509 certificate, without the wrapper. */
void tls_x509_info(X509 *x, struct tls_cert_info *ret);
/* How many URI names there are; the first fitting one goes to `out` ("" if none). */
int tls_x509_uri(X509 *x, char out[TLS_URI_MAX]);
int64_t tls_asn1_ms(const ASN1_TIME *t); /* 0 if unreadable */
