/* SPDX-License-Identifier: Apache-2.0 */
/* The v_* names in portable C. */
#include "kernels/simd/vec_ref.h"
#include "simd_checks.inc"

int main(void)
{
    all_checks();
    return CHECK_DONE();
}
