/* Writes what a customer applies in his AWS account: FOLDER/cloudformation.json and FOLDER/terraform/main.tf.json. */
#pragma once

#include "base/err.h"

OH_MUST_CHECK int artefact_write(const char *folder, const char *name, const char *external_id,
                                 const char *controller_arn, struct err *err);
