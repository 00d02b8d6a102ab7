/* An address range for the laptop's data plane that no route of this machine touches. */
#pragma once

#include "base/err.h"

#define RANGE_SIZE 20

/* Pure: `routes` is the text of /proc/net/route (proc(5): destination and mask in hexadecimal, network byte order as
 * the machine reads it). The first of 10.77.0.0/16, 10.78.0.0/16 ... 10.255.0.0/16, 10.0.0.0/16 ... 10.76.0.0/16 that
 * overlaps with no route but the default one. -EADDRNOTAVAIL with a message when all are taken. */
OH_MUST_CHECK int range_choose(const char *routes, char ret[RANGE_SIZE], struct err *err);

/* The same for this machine as it is now. */
OH_MUST_CHECK int range_free(char ret[RANGE_SIZE], struct err *err);
