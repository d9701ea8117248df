// SPDX-License-Identifier: Apache-2.0
// The peers of skep's map calls, with libbpf: MODE ID ENTRIES REPEATS prints the nanoseconds of each
// repeat. keys: walk key by key and look each up; batch: dump in batches; lookup: look up ENTRIES
// keys; update: store ENTRIES values in batches; view: copy an array out of its shared memory;
// scrape: dump every map from ID to ID + ENTRIES - 1 in batches.
#include <bpf/bpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 8192

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

struct map {
	int fd;
	struct bpf_map_info info;
	char *keys, *values;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void open_map(struct map *map, uint32_t id)
{
	uint32_t length = sizeof(map->info);

	map->fd = bpf_map_get_fd_by_id(id);
	if (map->fd < 0 || bpf_obj_get_info_by_fd(map->fd, &map->info, &length))
		fail("map");
}

static uint32_t by_batch(struct map *map, char *keys, char *values)
{
	uint32_t done = 0, count, token[16];
	void *in = NULL;
	int error;

	do {
		count = CHUNK;
		error = bpf_map_lookup_batch(map->fd, in, token, keys + (size_t)map->info.key_size * done,
					     values + (size_t)map->info.value_size * done, &count, NULL);
		if (error && errno != ENOENT)
			fail("batch");
		done += count;
		in = token;
	} while (!error);
	return done;
}

static uint32_t by_key(struct map *map, char *keys, char *values)
{
	uint32_t done = 0, key_size = map->info.key_size, value_size = map->info.value_size;
	void *last = NULL;

	while (!bpf_map_get_next_key(map->fd, last, keys)) {
		if (!bpf_map_lookup_elem(map->fd, keys, values)) {
			done++;
			values += value_size;
		}
		last = keys;
		keys += key_size;
	}
	return done;
}

static void update(struct map *map, uint32_t entries)
{
	uint32_t done = 0, count;

	while (done < entries) {
		count = entries - done < CHUNK ? entries - done : CHUNK;
		if (bpf_map_update_batch(map->fd, map->keys + (size_t)map->info.key_size * done,
					 map->values + (size_t)map->info.value_size * done, &count, NULL))
			fail("update");
		done += count;
	}
}

int main(int argc, char **argv)
{
	const char *mode = argv[1];
	uint32_t id = atoi(argv[2]), entries = atoi(argv[3]), repeats = atoi(argv[4]);
	uint32_t maps = strcmp(mode, "scrape") ? 1 : entries;
	struct map *map = calloc(maps, sizeof(*map));
	volatile char *shared = NULL;
	size_t room = 0;

	for (uint32_t i = 0; i < maps; i++) {
		open_map(&map[i], id + i);
		room = (size_t)map[i].info.max_entries + CHUNK;
	}
	map->keys = calloc(room, map->info.key_size);
	map->values = calloc(room, map->info.value_size);
	for (uint32_t i = 0; i < entries; i++)
		memcpy(map->keys + (size_t)i * map->info.key_size, &i, 4);
	if (!strcmp(mode, "view")) {
		shared = mmap(NULL, (size_t)entries * 8, PROT_READ, MAP_SHARED, map->fd, 0);
		if (shared == MAP_FAILED)
			fail("mmap");
	}
	for (uint32_t repeat = 0; repeat < repeats; repeat++) {
		// A fresh result for each repeat, as a caller who keeps the columns would have.
		char *keys = malloc(room * map->info.key_size);
		char *values = malloc(room * map->info.value_size);
		uint64_t start = now();
		uint32_t done = entries;

		if (!strcmp(mode, "keys"))
			done = by_key(map, keys, values);
		else if (!strcmp(mode, "batch"))
			done = by_batch(map, keys, values);
		else if (!strcmp(mode, "lookup"))
			for (uint32_t i = 0; i < entries; i++)
				done -= bpf_map_lookup_elem(map->fd, map->keys + i * 4, values) != 0;
		else if (!strcmp(mode, "update"))
			update(map, entries);
		else if (!strcmp(mode, "view"))
			memcpy(map->values, (char *)shared, (size_t)entries * 8);
		else
			for (uint32_t i = 0; i < maps; i++)
				by_batch(&map[i], keys, values);
		start = now() - start;
		if (done != entries)
			return 1;
		printf("%llu\n", (unsigned long long)start);
		free(keys);
		free(values);
	}
	return 0;
}
