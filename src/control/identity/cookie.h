/* The Cookie header, RFC 6265 section 4.2: one cookie's value by its name. */
#pragma once

#include "base/util.h"

#define COOKIE_MAX 128 /* bytes of a value with its NUL; ours are shorter */

/* Copies the value of the first cookie of this exact name. False: there is none, or its value is longer than
 * COOKIE_MAX, or holds anything but letters and digits (ours never do). `header` may be NULL. */
bool cookie_find(const char *header, const char *name, char ret[COOKIE_MAX]);
