/* Writes what a customer applies in his AWS account: FOLDER/cloudformation.json and FOLDER/terraform/main.tf.json. */
#pragma once

#include "base/err.h"
#include "base/js.h"

OH_MUST_CHECK int artefact_write(const char *folder, const json_t *cloudformation, const json_t *terraform,
                                 struct err *err);
