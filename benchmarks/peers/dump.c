// SPDX-License-Identifier: Apache-2.0
// The peer of `keys, values = map.read()`: dump a pinned-by-id hash map in batches.
// Usage: dump MAP_ID ENTRIES ROUNDS CHUNK; prints nanoseconds for each round.
#include <bpf/bpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int main(int argc, char **argv)
{
	int fd = bpf_map_get_fd_by_id(atoi(argv[1])), rounds = atoi(argv[3]);
	uint32_t entries = atoi(argv[2]), chunk = atoi(argv[4]), token;
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length))
		return 1;
	for (int round = 0; round < rounds; round++) {
		// A fresh result for each round, as a caller who keeps the columns would have.
		char *keys = malloc((size_t)info.key_size * (entries + chunk));
		char *values = malloc((size_t)info.value_size * (entries + chunk));
		uint64_t start = now();
		uint32_t done = 0, count;
		void *in = NULL;
		int error;

		do {
			count = chunk;
			error = bpf_map_lookup_batch(fd, in, &token, keys + (size_t)info.key_size * done,
						     values + (size_t)info.value_size * done, &count, NULL);
			if (error && errno != ENOENT)
				return 1;
			done += count;
			in = &token;
		} while (!error && done < entries + 1);
		if (done != entries)
			return 1;
		printf("%llu\n", (unsigned long long)(now() - start));
		free(keys);
		free(values);
	}
	return 0;
}
