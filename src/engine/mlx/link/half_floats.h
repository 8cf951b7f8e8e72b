/* mlx-c declares its half floats on Arm only, and mlx-rs uses them everywhere. They cross the interface as pointers to
 * two bytes, so any type of that size serves: MLX's own for C++, and for bindgen what it makes of them on Arm. */
#pragma once
#define MLX_HALF_H
#define HAS_FLOAT16
#define HAS_BFLOAT16
#ifdef __cplusplus
#include "mlx/types/half_types.h"
using float16_t = mlx::core::float16_t;
using bfloat16_t = mlx::core::bfloat16_t;
#else
typedef _Float16 float16_t;
typedef unsigned short bfloat16_t;
#endif
