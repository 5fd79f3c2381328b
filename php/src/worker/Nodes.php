<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** Has the workers go where the nodes of the cluster are, which it has a process look for. */
final class Nodes
{
    private const PAUSE = 5.0;

    private Spread $spread;
    private ?Process $scout = null;
    private float $startAt = 0.0;
    private ?string $heard = null;

    public function __construct(private Options $options, private PidFile $pidFile)
    {
        $this->spread = new Spread($options->count, $options->registers ?: [null]);
    }

    /** Where a worker is to join; null for what php.ini says. */
    public function of(int $number): ?string
    {
        return $this->spread->of($number);
    }

    /** @return list<int> the workers that are to join another node now */
    public function look(): array
    {
        if (!$this->areSought()) {
            return [];
        }
        if ($this->scout === null && microtime(true) >= $this->startAt) {
            $this->scout = Process::start(function (\Closure $tell): int {
                $this->pidFile->forget();
                return (new Scout($this->options, $tell))->run();
            });
        }
        $news = $this->scout?->news();
        if ($news === null || $news === $this->heard) {
            return [];
        }
        $this->heard = $news;
        /** @var non-empty-list<string> $nodes */
        $nodes = json_decode($news, true);
        Log::write('the nodes of the cluster are ' . implode(', ', $nodes));
        if (count($nodes) > $this->options->count) {
            $are = $this->options->count === 1 ? '1 worker is' : "{$this->options->count} workers are";
            Log::write("$are too few for them: --count=" . count($nodes) . ' or more');
        }
        return $this->spread->over($nodes);
    }

    public function ended(int $pid): void
    {
        if ($pid === $this->scout?->pid) {
            $this->scout = null;
            $this->startAt = microtime(true) + self::PAUSE;
        }
    }

    /** When it wants to look again, if nothing happens before. */
    public function dueAt(): ?float
    {
        return $this->areSought() && $this->scout === null ? $this->startAt : null;
    }

    public function stop(): void
    {
        $this->scout?->signal(SIGTERM);
    }

    /** Several that were given are those, and no others. */
    private function areSought(): bool
    {
        return count($this->options->registers) < 2;
    }
}
