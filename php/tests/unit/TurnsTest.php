<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase;
use PushGateway\Worker\Turns;

final class TurnsTest extends TestCase
{
    /** @var Turns<\ArrayObject> */
    private Turns $turns;
    /** @var list<\ArrayObject> */
    private array $workers;

    protected function setUp(): void
    {
        $this->turns = new Turns();
        // All alike, so that only who they are tells them apart.
        $this->workers = array_map(fn () => new \ArrayObject(), range(0, 3));
    }

    public function testOneComesAfterTheOther(): void
    {
        $this->turns->give($this->workers);
        $this->assertSame([0, 1, 2, 3], $this->order());
        $this->assertNull($this->turns->current());
    }

    public function testNobodyIsAtItWhereNobodyIs(): void
    {
        $this->turns->give([]);
        $this->assertNull($this->turns->current());
        $this->assertNull($this->turns->end());
    }

    public function testTheOthersOfAReloadKeepTheirTurnsWhenOneIsToMove(): void
    {
        $this->turns->give($this->workers);
        $this->turns->give([$this->workers[2]]);
        $this->assertSame([0, 2, 1, 3], $this->order());
    }

    public function testASecondReloadHasEverybodyOnceMore(): void
    {
        $this->turns->give($this->workers);
        $this->turns->end();
        $this->turns->give($this->workers);
        $this->assertSame([1, 0, 1, 2, 3], $this->order());
    }

    /** @return list<int> */
    private function order(): array
    {
        $order = [];
        for ($one = $this->turns->current(); $one !== null; $one = $this->turns->end()) {
            $order[] = (int) array_search($one, $this->workers, true);
        }
        return $order;
    }
}
