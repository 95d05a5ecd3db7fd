// The end of a crash test: every job that was accepted is listed and has ended.
import { getJson, until } from '../support/program.mjs';

const LOOK_MS = 500;

const isFinal = (job) => !['queued', 'running', 'retrying'].includes(job.status);

// Every list of jobs is paged, newest first.
async function allJobs(base) {
    const jobs = [];
    for (let after = ''; ;) {
        const page = await getJson(`${base}/v1/jobs?limit=100${after}`);
        jobs.push(...page.data);
        if (!page.has_more) return jobs;
        after = `&after=${page.data.at(-1).id}`;
    }
}

// where: has `url` of an instance that lives, asked anew each time. Gives the jobs.
export async function allEnded(where, submitter, timeoutMs) {
    let left;
    return until('all jobs have ended', timeoutMs, async () => {
        const list = await allJobs(where.url).catch(() => []); // Redis may be away
        left = `${list.filter((job) => !isFinal(job)).length} of ${list.length} listed`;
        return list.length >= submitter.accepted && list.every(isFinal) && list;
    }, LOOK_MS).catch((error) => {
        throw new Error(`${error.message}; not ended: ${left}`);
    });
}
