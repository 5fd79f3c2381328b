<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/**
 * Keeps the worker processes going. It never loads the program's code, so that a process that it forks has the code as it
 * is then, and so that nothing in that code can end it.
 */
final class Master
{
    private const SIGNALS = [SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGCHLD];

    /** @var list<Slot> */
    private array $slots = [];
    /** @var Turns<Slot> those that are to be replaced, one after the other */
    private Turns $reloads;
    private ?float $killAt = null;
    private bool $isStopping = false;
    private Nodes $nodes;

    public function __construct(private Options $options, private PidFile $pidFile)
    {
        $this->nodes = new Nodes($options, $pidFile);
        $this->reloads = new Turns();
    }

    public function run(): int
    {
        $this->pidFile->take();
        // They wait until they are asked for, so that none comes at a bad moment.
        pcntl_sigprocmask(SIG_BLOCK, self::SIGNALS);
        for ($number = 0; $number < $this->options->count; $number++) {
            $this->slots[] = new Slot($number, $this->options, $this->nodes, $this->pidFile);
        }
        $workers = $this->options->count === 1 ? '1 worker' : "{$this->options->count} workers";
        Log::write("starts $workers for {$this->options->file}");
        while (!$this->isStopping || $this->hasProcesses()) {
            $this->step();
            $this->pidFile->write(array_map(fn (Slot $slot) => $slot->describe(), $this->slots));
            $this->wait();
        }
        $this->pidFile->remove();
        Log::write('has stopped');
        return 0;
    }

    /** Starts what is to be started, and goes on with a reload. */
    private function step(): void
    {
        foreach ($this->slots as $slot) {
            $slot->look($this->isStopping);
        }
        if ($this->isStopping) {
            if ($this->killAt !== null && microtime(true) >= $this->killAt) {
                Log::write("kills what has not ended within {$this->options->stopTimeout} s (--stop-timeout)");
                $this->each(fn (Slot $slot) => $slot->kill());
                $this->killAt = null;
            }
            return;
        }
        $moved = array_map(fn (int $number) => $this->slots[$number], $this->nodes->look());
        array_map(fn (Slot $slot) => $slot->redirect(), $moved);
        $this->replace($moved);
        while ($this->reloads->current()?->isReloaded()) {
            $next = $this->reloads->end();
            if ($next === null) {
                Log::write('has reloaded');
            }
            $next?->reload();
        }
    }

    private function wait(): void
    {
        $due = array_map(fn (Slot $slot) => $slot->dueAt(), $this->slots);
        $lookAt = $this->isStopping ? null : $this->nodes->dueAt();
        $due = array_filter([$this->killAt, $lookAt, ...$due], fn ($time) => $time !== null);
        $seconds = $due === [] ? 3600.0 : max(0.0, min($due) - microtime(true));
        $signal = @pcntl_sigtimedwait(
            self::SIGNALS,
            $info,
            (int) $seconds,
            (int) (($seconds - (int) $seconds) * 1e9)
        );
        switch ($signal) {
            case SIGTERM:
            case SIGINT:
                $this->stop();
                break;
            case SIGUSR1:
                $this->reload();
                break;
            case SIGCHLD:
                while (($pid = pcntl_waitpid(-1, $status, WNOHANG)) > 0) {
                    /** @var int $status */
                    $this->each(fn (Slot $slot) => $slot->ended($pid, $status));
                    $this->nodes->ended($pid);
                }
                break;
            default:
                // A process says by SIGUSR2 that it serves; the slot looks by itself.
        }
    }

    private function stop(): void
    {
        if ($this->isStopping) {
            return;
        }
        Log::write('stops: every worker handles what it has');
        $this->isStopping = true;
        $this->killAt = microtime(true) + $this->options->stopTimeout;
        $this->each(fn (Slot $slot) => $slot->drain());
        $this->nodes->stop();
    }

    private function reload(): void
    {
        if ($this->isStopping) {
            return;
        }
        Log::write('reloads, one worker after the other');
        $this->replace($this->slots);
    }

    /** @param list<Slot> $slots */
    private function replace(array $slots): void
    {
        $isIdle = $this->reloads->current() === null;
        $this->reloads->give($slots);
        if ($isIdle) {
            $this->reloads->current()?->reload();
        }
    }

    private function hasProcesses(): bool
    {
        return array_filter($this->slots, fn (Slot $slot) => $slot->hasProcess()) !== [];
    }

    /** @param callable(Slot): void $do */
    private function each(callable $do): void
    {
        array_map($do, $this->slots);
    }
}
