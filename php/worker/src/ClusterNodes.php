<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** Keeps the workers spread over the nodes of the cluster, which a process of its own watches. */
final class ClusterNodes
{
    private const RESTART_PAUSE_SECONDS = 5.0;

    private NodeAssignment $assignment;
    private ?ChildProcess $watcher = null;
    private float $startAt = 0.0;
    /** The last report of the watcher that was acted on. */
    private ?string $handled = null;

    public function __construct(private Options $options, private PidFile $pidFile)
    {
        $this->assignment = new NodeAssignment($options->count, $options->registers ?: [null]);
    }

    /** The register address that a worker is to join; null stands for the address in php.ini. */
    public function addressOf(int $number): ?string
    {
        return $this->assignment->addressOf($number);
    }

    /** @return list<int> the workers that are to join another node now */
    public function update(): array
    {
        if (!$this->areWatched()) {
            return [];
        }
        if ($this->watcher === null && microtime(true) >= $this->startAt) {
            $this->watcher = ChildProcess::start(function (\Closure $report): int {
                $this->pidFile->closeInChild();
                return (new NodeWatcher($this->options, $report))->run();
            });
        }
        $report = $this->watcher?->lastReport();
        if ($report === null || $report === $this->handled) {
            return [];
        }
        $this->handled = $report;
        /** @var non-empty-list<string> $nodes */
        $nodes = json_decode($report, true);
        Log::write('the nodes of the cluster are ' . implode(', ', $nodes));
        if (count($nodes) > $this->options->count) {
            $are = $this->options->count === 1 ? '1 worker is' : "{$this->options->count} workers are";
            Log::write("$are too few for them: --count=" . count($nodes) . ' or more');
        }
        return $this->assignment->rebalance($nodes);
    }

    public function ended(int $pid): void
    {
        if ($pid === $this->watcher?->pid) {
            $this->watcher = null;
            $this->startAt = microtime(true) + self::RESTART_PAUSE_SECONDS;
        }
    }

    /** When update() is to be called again, if nothing happens before. */
    public function dueAt(): ?float
    {
        return $this->areWatched() && $this->watcher === null ? $this->startAt : null;
    }

    public function stop(): void
    {
        $this->watcher?->signal(SIGTERM);
    }

    /** Several addresses on the command line are all the nodes that the workers join, so no watcher looks for others. */
    private function areWatched(): bool
    {
        return count($this->options->registers) < 2;
    }
}
