/* policy.c - see policy.h. */
#include "common/compat.h"

#include "common/err.h"
#include "supervisor/policy.h"

void
policy_reset(struct policy *p)
{
	p->failures = 0;
}

/* delay_min * 2^(failures - 1), cut at delay_max. */
static uint64_t
full_delay(const struct policy *p, const struct policy_limits *l)
{
	uint64_t delay = l->delay_min_ms;

	for (uint32_t i = 1; i < p->failures && delay < l->delay_max_ms; i++)
		delay *= 2;
	return delay < l->delay_max_ms ? delay : l->delay_max_ms;
}

/* A worker never ends with 0 unasked: that is a defect of ours, as 70 is. */
static bool
restarts(const struct policy_death *d)
{
	return d->signal != 0 || d->status == 0 || exit_restarts(d->status) != 0;
}

struct policy_decision
policy_judge(struct policy *p, const struct policy_limits *limits, const struct policy_death *death,
	uint32_t random)
{
	uint64_t delay;

	if (death->flowed_ms >= limits->stable_ms)
		p->failures = 0;
	if (!restarts(death))
		return (struct policy_decision){.restart = false};
	p->failures += death->ready ? 1 : 2;
	delay = full_delay(p, limits);
	return (struct policy_decision){
		.restart = true, .delay_ms = delay - random % (delay / 2 + 1)};
}
