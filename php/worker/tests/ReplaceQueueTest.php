<?php

declare(strict_types=1);

namespace PushGateway\Worker\Tests;

use PHPUnit\Framework\TestCase;
use PushGateway\Worker\ReplaceQueue;

final class ReplaceQueueTest extends TestCase
{
    /** @var ReplaceQueue<\ArrayObject> */
    private ReplaceQueue $queue;
    /** @var list<\ArrayObject> */
    private array $workers;

    protected function setUp(): void
    {
        $this->queue = new ReplaceQueue();
        // The objects are equal, so that only their identity tells them apart.
        $this->workers = array_map(fn () => new \ArrayObject(), range(0, 3));
    }

    public function testOneComesAfterTheOther(): void
    {
        $this->queue->prioritize($this->workers);
        $this->assertSame([0, 1, 2, 3], $this->order());
        $this->assertNull($this->queue->current());
    }

    public function testAnEmptyQueueHasNoCurrent(): void
    {
        $this->queue->prioritize([]);
        $this->assertNull($this->queue->current());
        $this->assertNull($this->queue->finishCurrent());
    }

    public function testTheOthersOfAReloadKeepTheirOrderWhenOneIsToMove(): void
    {
        $this->queue->prioritize($this->workers);
        $this->queue->prioritize([$this->workers[2]]);
        $this->assertSame([0, 2, 1, 3], $this->order());
    }

    public function testASecondReloadReplacesEveryWorkerOnceMore(): void
    {
        $this->queue->prioritize($this->workers);
        $this->queue->finishCurrent();
        $this->queue->prioritize($this->workers);
        $this->assertSame([1, 0, 1, 2, 3], $this->order());
    }

    /** @return list<int> */
    private function order(): array
    {
        $order = [];
        for ($one = $this->queue->current(); $one !== null; $one = $this->queue->finishCurrent()) {
            $order[] = (int) array_search($one, $this->workers, true);
        }
        return $order;
    }
}
