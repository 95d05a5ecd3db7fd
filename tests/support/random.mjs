// A small deterministic generator (xorshift64*, Vigna 2016), so that a seed says everything
// about a run.
export class Random {
    constructor(seed) {
        this.state = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n) || 1n;
    }

    next() {
        let x = this.state;
        x ^= x >> 12n;
        x ^= BigInt.asUintN(64, x << 25n);
        x ^= x >> 27n;
        this.state = x;
        return Number(BigInt.asUintN(64, x * 0x2545f4914f6cdd1dn) >> 32n);
    }

    below(n) {
        return this.next() % n;
    }

    between(least, most) {
        return least + this.below(most - least + 1);
    }

    pick(list) {
        return list[this.below(list.length)];
    }

    // In place (Fisher and Yates).
    shuffled(list) {
        for (let i = list.length - 1; i > 0; i--) {
            const k = this.below(i + 1);
            [list[i], list[k]] = [list[k], list[i]];
        }
        return list;
    }
}

// TEST_SEED, or one of the clock; printed, so that a failure can be repeated.
export function seeded() {
    const seed = Number(process.env.TEST_SEED ?? Date.now() % 1000000007);
    console.log(`TEST_SEED=${seed}`);
    return new Random(seed);
}
