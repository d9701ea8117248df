// SPDX-License-Identifier: Apache-2.0
// The peer of `skep.ObjectSpec.from_file(path).load()`: open, load, leave.
#include <bpf/libbpf.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct bpf_object *object = bpf_object__open_file(argv[1], NULL);

	if (!object || bpf_object__load(object)) {
		fprintf(stderr, "cannot load %s\n", argv[1]);
		return 1;
	}
	bpf_object__close(object);
	return 0;
}
