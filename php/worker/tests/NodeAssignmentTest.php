<?php

declare(strict_types=1);

namespace PushGateway\Worker\Tests;

use PHPUnit\Framework\TestCase;
use PushGateway\Worker\NodeAssignment;

final class NodeAssignmentTest extends TestCase
{
    public function testGivenNodesShareTheWorkersEvenly(): void
    {
        $this->assertSame(['a', 'b', 'a', 'b', 'a'], $this->addresses(new NodeAssignment(5, ['a', 'b'])));
        $this->assertSame([null, null, null, null, null], $this->addresses(new NodeAssignment(5, [null])));
    }

    public function testNoMoreWorkersMoveThanMust(): void
    {
        $assignment = new NodeAssignment(5, ['a']);
        $this->assertSame([3, 4], $assignment->rebalance(['a', 'b']));
        $this->assertSame([], $assignment->rebalance(['b', 'a']));
        // One of the three workers of node a moves to c.
        $this->assertCount(1, $assignment->rebalance(['a', 'b', 'c']));
        $this->assertSame(['a' => 2, 'b' => 2, 'c' => 1], $this->counts($assignment));
        $this->assertCount(2, $assignment->rebalance(['a', 'c']));
        $this->assertSame(['a' => 3, 'c' => 2], $this->counts($assignment));
        $this->assertCount(3, $assignment->rebalance(['c']));
    }

    public function testTooFewWorkersAreAtAsManyNodes(): void
    {
        $assignment = new NodeAssignment(5, ['a']);
        $this->assertCount(4, $assignment->rebalance(['a', 'b', 'c', 'd', 'e', 'f']));
        $this->assertCount(5, $this->counts($assignment));
    }

    public function testEveryAssignmentIsEven(): void
    {
        mt_srand($seed = random_int(0, 1 << 30));
        $assignment = new NodeAssignment(7, [null]);
        for ($round = 0; $round < 500; $round++) {
            $nodes = array_values(array_filter(range('a', 'i'), fn () => mt_rand(0, 1) === 1)) ?: ['z'];
            $before = $this->addresses($assignment, 7);
            $moved = $assignment->rebalance($nodes);
            $counts = $this->counts($assignment, 7);
            $this->assertSame([], array_diff(array_keys($counts), $nodes), "seed $seed");
            $this->assertCount(min(7, count($nodes)), $counts, "seed $seed");
            $this->assertLessThanOrEqual(min($counts) + 1, max($counts), "seed $seed");
            $changed = array_keys(array_diff_assoc($this->addresses($assignment, 7), $before));
            $this->assertSame($changed, $moved, "seed $seed");
        }
    }

    /** @return list<string|null> */
    private function addresses(NodeAssignment $assignment, int $workers = 5): array
    {
        return array_map($assignment->addressOf(...), range(0, $workers - 1));
    }

    /** @return array<string, int> */
    private function counts(NodeAssignment $assignment, int $workers = 5): array
    {
        $counts = array_count_values($this->addresses($assignment, $workers));
        ksort($counts);

        return $counts;
    }
}
