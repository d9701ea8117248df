// SPDX-License-Identifier: Apache-2.0
// The peer of benchmarks/btf.py: open the kernel's BTF, find the structs named; print milliseconds.
#include <bpf/btf.h>
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv)
{
	struct timespec start, end;
	struct btf *btf;
	int i;

	clock_gettime(CLOCK_MONOTONIC, &start);
	btf = btf__load_vmlinux_btf();
	if (!btf) {
		fprintf(stderr, "the kernel has no BTF\n");
		return 1;
	}
	for (i = 1; i < argc; i++) {
		if (btf__find_by_name_kind(btf, argv[i], BTF_KIND_STRUCT) < 0) {
			fprintf(stderr, "there is no struct %s\n", argv[i]);
			return 1;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%f\n", (end.tv_sec - start.tv_sec) * 1e3 + (end.tv_nsec - start.tv_nsec) / 1e6);
	btf__free(btf);
	return 0;
}
