/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Variables of all the types that C has: their values go in and come out. */
#include <skep/bpf.h>

enum colour { RED = -1, GREEN = 5, BLUE };

struct nested {
	__u8 kind;
	union { __u32 number; __u8 bytes[4]; } value;
	struct { __s16 x, y; } points[2];
	unsigned int low:3, high:5;
};

__s8 small = -8;
__u64 large = 0xfedcba9876543210;
bool flag;
enum colour colour = RED;
char text[8] = "in";
__u16 matrix[2][3];
struct nested nested;

SEC("tc")
int change(void *ctx)
{
	small--;
	large >>= 4;
	flag = !flag;
	colour = colour == RED ? BLUE : RED;
	text[0] = 'o';
	matrix[1][2] = matrix[0][0] + 1;
	nested.kind++;
	nested.value.number = 0x01020304;
	nested.points[1].y = -nested.points[0].x;
	nested.high = nested.low + 2;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
