<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** Which node each worker joins: every node of the cluster has as many workers as any other, or one more. */
final class Spread
{
    /** @var array<int, string|null> of each worker; null for what php.ini says */
    private array $addresses = [];

    /** @param non-empty-list<string|null> $registers as they were given: each gets as many */
    public function __construct(private int $count, array $registers)
    {
        for ($number = 0; $number < $count; $number++) {
            $this->addresses[] = $registers[$number % count($registers)];
        }
    }

    public function of(int $number): ?string
    {
        return $this->addresses[$number];
    }

    /**
     * Moves no more workers than it must.
     *
     * @param non-empty-list<string> $nodes those that are there now
     * @return list<int> the workers that are to join another node
     */
    public function over(array $nodes): array
    {
        $workers = array_fill_keys($nodes, []);
        $homeless = [];
        foreach ($this->addresses as $number => $address) {
            if ($address !== null && isset($workers[$address])) {
                $workers[$address][] = $number;
            } else {
                $homeless[] = $number;
            }
        }
        $fewest = intdiv($this->count, count($nodes));
        // So many nodes have one more, and who has it already keeps it.
        $larger = $this->count % count($nodes);
        uasort($workers, fn (array $one, array $other) => count($other) <=> count($one));
        $free = [];
        foreach ($workers as $address => $numbers) {
            $share = $fewest + ($larger-- > 0 ? 1 : 0);
            $homeless = [...$homeless, ...array_slice($numbers, $share)];
            $free[$address] = max(0, $share - count($numbers));
        }
        $moved = [];
        foreach ($free as $address => $places) {
            foreach (array_splice($homeless, 0, $places) as $number) {
                $this->addresses[$number] = (string) $address;
                $moved[] = $number;
            }
        }
        sort($moved);

        return $moved;
    }
}
