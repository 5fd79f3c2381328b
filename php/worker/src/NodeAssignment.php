<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** Decides which node each worker joins, such that every node of the cluster has as many workers as any other, or one more. */
final class NodeAssignment
{
    /** @var array<int, string|null> register addresses by the worker's number; null stands for the address in php.ini */
    private array $addresses = [];

    /** @param non-empty-list<string|null> $registers the addresses from the command line, which share the workers evenly */
    public function __construct(private int $count, array $registers)
    {
        for ($number = 0; $number < $count; $number++) {
            $this->addresses[] = $registers[$number % count($registers)];
        }
    }

    public function addressOf(int $number): ?string
    {
        return $this->addresses[$number];
    }

    /**
     * Spreads the workers over the nodes that exist now, and moves no more workers than it must.
     *
     * @param non-empty-list<string> $nodes
     * @return list<int> the workers that are to join another node
     */
    public function rebalance(array $nodes): array
    {
        $workers = array_fill_keys($nodes, []);
        $unassigned = [];
        foreach ($this->addresses as $number => $address) {
            if ($address !== null && isset($workers[$address])) {
                $workers[$address][] = $number;
            } else {
                $unassigned[] = $number;
            }
        }
        $fewest = intdiv($this->count, count($nodes));
        // So many nodes have one worker more than the others. Nodes that have one more already come first and keep it.
        $larger = $this->count % count($nodes);
        uasort($workers, fn (array $one, array $other) => count($other) <=> count($one));
        $free = [];
        foreach ($workers as $address => $numbers) {
            $share = $fewest + ($larger-- > 0 ? 1 : 0);
            $unassigned = [...$unassigned, ...array_slice($numbers, $share)];
            $free[$address] = max(0, $share - count($numbers));
        }
        $moved = [];
        foreach ($free as $address => $places) {
            foreach (array_splice($unassigned, 0, $places) as $number) {
                $this->addresses[$number] = (string) $address;
                $moved[] = $number;
            }
        }
        sort($moved);

        return $moved;
    }
}
