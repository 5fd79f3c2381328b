<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase;
use PushGateway\Worker\Spread;

final class SpreadTest extends TestCase
{
    public function testNodesThatWereGivenGetAsMany(): void
    {
        $this->assertSame(['a', 'b', 'a', 'b', 'a'], $this->addresses(new Spread(5, ['a', 'b'])));
        $this->assertSame([null, null, null, null, null], $this->addresses(new Spread(5, [null])));
    }

    public function testNoMoreMoveThanMust(): void
    {
        $spread = new Spread(5, ['a']);
        $this->assertSame([3, 4], $spread->over(['a', 'b']));
        $this->assertSame([], $spread->over(['b', 'a']));
        // One of the three that a has.
        $this->assertCount(1, $spread->over(['a', 'b', 'c']));
        $this->assertSame(['a' => 2, 'b' => 2, 'c' => 1], $this->counts($spread));
        $this->assertCount(2, $spread->over(['a', 'c']));
        $this->assertSame(['a' => 3, 'c' => 2], $this->counts($spread));
        $this->assertCount(3, $spread->over(['c']));
    }

    public function testTooFewWorkersAreAtAsManyNodes(): void
    {
        $spread = new Spread(5, ['a']);
        $this->assertCount(4, $spread->over(['a', 'b', 'c', 'd', 'e', 'f']));
        $this->assertCount(5, $this->counts($spread));
    }

    public function testEverySpreadIsEven(): void
    {
        mt_srand($seed = random_int(0, 1 << 30));
        $spread = new Spread(7, [null]);
        for ($round = 0; $round < 500; $round++) {
            $nodes = array_values(array_filter(range('a', 'i'), fn () => mt_rand(0, 1) === 1)) ?: ['z'];
            $before = $this->addresses($spread, 7);
            $moved = $spread->over($nodes);
            $counts = $this->counts($spread, 7);
            $this->assertSame([], array_diff(array_keys($counts), $nodes), "seed $seed");
            $this->assertCount(min(7, count($nodes)), $counts, "seed $seed");
            $this->assertLessThanOrEqual(min($counts) + 1, max($counts), "seed $seed");
            $changed = array_keys(array_diff_assoc($this->addresses($spread, 7), $before));
            $this->assertSame($changed, $moved, "seed $seed");
        }
    }

    /** @return list<string|null> */
    private function addresses(Spread $spread, int $workers = 5): array
    {
        return array_map($spread->of(...), range(0, $workers - 1));
    }

    /** @return array<string, int> */
    private function counts(Spread $spread, int $workers = 5): array
    {
        $counts = array_count_values($this->addresses($spread, $workers));
        ksort($counts);

        return $counts;
    }
}
