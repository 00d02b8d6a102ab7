/* Rules of names that come from outside and end up in configuration files: what passes here needs no quoting in
 * HAProxy, Knot or zone files, and no surprise in a log line.
 *
 * DNS: RFC 1035 2.3.1, RFC 1123 2.1, in lower case. Networks: RFC 4632, RFC 4291. */
#pragma once

#include "base/util.h"

#define NAMES_LABEL_MAX 63
#define NAMES_DOMAIN_MAX 189 /* 253 less one label and its dot */
#define NAMES_USER_MAX 64

/* [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63. */
bool names_label_valid(const char *s);
/* Labels joined by dots, at most NAMES_DOMAIN_MAX bytes, no final dot. */
bool names_domain_valid(const char *s);
/* [A-Za-z_][A-Za-z0-9_-]*, at most NAMES_USER_MAX, not beginning with "ownhouse_". Plain enough to be the name of an
 * XML element, which is what a user is in ClickHouse's users.xml. */
bool names_user_valid(const char *s);
/* An IPv4 or IPv6 address, alone or with "/prefix". Bits beyond the prefix may be set. */
bool names_network_valid(const char *s);
/* An address alone. */
bool names_address_valid(const char *s);
