/* IP access lists: is an address within one of the listed networks? RFC 4632, RFC 4291. */
#pragma once

#include "base/js.h"

/* `list`: an array of {"source": ADDRESS | ADDRESS/PREFIX | "anywhere", ...}. An IPv4 address that comes as IPv6
 * (::ffff:a.b.c.d) counts as IPv4. An unknown address ("" or not an address) is inside only where a source takes in
 * everything: "anywhere", 0.0.0.0/0 or ::/0. An empty list holds nobody. */
bool ip_list_holds(const json_t *list, const char *address);

/* True for ADDRESS, ADDRESS/PREFIX and "anywhere". */
bool ip_source_valid(const char *source);
