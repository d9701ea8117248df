/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * CPU time by process name.
 *
 * Each time a CPU switches tasks, the time since its last switch is added to the name of the
 * process that ran (the thread group leader's, not the thread's: a pool of numbered threads is
 * one process). Kernel threads lose what follows a '/': kworker/3:1 and kworker/0:2 are "kworker".
 *
 * The map by name is bounded and forgets the least recently used; each CPU's grand total does
 * not, so the reader knows how much was forgotten.
 */
#include <skep/bpf.h>

#define MAX_NAMES 4096
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h; the same since 2.6 */

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	char comm[16];
} SKEP_CORE;

struct name {
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_NAMES);
	__type(key, struct name);
	__type(value, __u64); /* nanoseconds */
} by_name SEC(".maps");

struct cpu {
	__u64 since; /* when the running task got this CPU, bpf_ktime_get_ns(); 0: not known yet */
	__u64 total; /* nanoseconds accounted in by_name by this CPU */
	__s32 running; /* its process; 0 when idle */
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu);
} cpus SEC(".maps");

/*
 * The bytes of `word` before the first that equals `stop`, the rest zero. A byte of x is zero
 * exactly where the lowest set bit of (x - 0x01..) & ~x & 0x80.. is; what is above it may be
 * wrong, and is cut off anyway. The word has the first byte of memory lowest.
 */
static __always_inline __u64 before(__u64 word, __u8 stop, bool *found)
{
	const __u64 ones = 0x0101010101010101ULL;
	__u64 x = word ^ (ones * stop);
	__u64 zeros = (x - ones) & ~x & (ones << 7);
	__u64 below = (zeros - 1) & ~zeros; /* all ones when no byte is zero */

	*found = zeros != 0;
	/* `below` reaches into the stop byte itself: 7 bits of it, to be cleared as well. */
	return word & (zeros ? below >> 7 : below);
}

static __always_inline __u64 first_byte_lowest(__u64 word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return __builtin_bswap64(word);
#else
	return word;
#endif
}

static __always_inline void cut(__u64 words[2], __u8 stop)
{
	bool found;

	words[0] = first_byte_lowest(before(first_byte_lowest(words[0]), stop, &found));
	if (found)
		words[1] = 0;
	else
		words[1] = first_byte_lowest(before(first_byte_lowest(words[1]), stop, &found));
}

SEC("tp_btf/sched_switch")
int BPF_PROG(cputime_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u64 now = bpf_ktime_get_ns(), since, ran, words[2], *time;
	__u32 zero = 0;
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);

	if (!cpu)
		return 0;
	since = cpu->since;
	cpu->since = now;
	cpu->running = next->tgid;
	if (!since || !prev->pid)
		return 0;
	ran = now - since;

	/* Linux before 5.17 leaves rubbish after a shorter name's NUL: two keys for one name. */
	__builtin_memcpy(words, prev->group_leader->comm, sizeof(words));
	cut(words, 0);
	if (prev->flags & PF_KTHREAD)
		cut(words, '/');

	time = bpf_map_lookup_elem(&by_name, words);
	if (!time) {
		__u64 none = 0;

		bpf_map_update_elem(&by_name, words, &none, BPF_NOEXIST);
		time = bpf_map_lookup_elem(&by_name, words);
	}
	if (time)
		__sync_fetch_and_add(time, ran);
	/* After the above: whatever a reader finds in the total was in the map before. */
	cpu->total += ran;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
