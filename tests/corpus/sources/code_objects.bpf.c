/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Objects that a program allocates, of a type that only its own BTF has. */
#include <skep/bpf.h>

struct own_object {
	__u64 a, b;
};

extern void *bpf_obj_new_impl(__u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *object, void *meta) __ksym;

__u64 sum;

SEC("tc")
int allocates(void *ctx)
{
	struct own_object *object;

	object = bpf_obj_new_impl(bpf_core_type_id_local(struct own_object), NULL);
	if (!object)
		return 1;
	object->a = 40;
	object->b = 2;
	sum = object->a + object->b;
	bpf_obj_drop_impl(object, NULL);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
