// SPDX-License-Identifier: Apache-2.0
// Runs a producer program at an even rate. Usage: produce PROGRAM_ID RATE SECONDS
#include <bpf/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	int fd = bpf_prog_get_fd_by_id(atoi(argv[1]));
	uint64_t rate = strtoull(argv[2], NULL, 10), seconds = strtoull(argv[3], NULL, 10);
	uint64_t total = rate * seconds, batch = rate / 1000 ? rate / 1000 : 1;
	struct { uint64_t count, gap_ns; } request = { batch, 1000000000ull / rate };
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &request, .ctx_size_in = sizeof(request));

	if (fd < 0)
		return 1;
	for (uint64_t done = 0; done < total; done += batch)
		if (bpf_prog_test_run_opts(fd, &run))
			return 1;
	printf("%llu\n", (unsigned long long)total);
	return 0;
}
