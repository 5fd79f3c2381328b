<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** A child process that tells its parent something, a line each time. */
final class Process
{
    /** A worker says it that wants another to take its place. */
    public const SPENT = 'spent';

    private string $read = '';
    /** What it told last. */
    private ?string $news = null;
    private bool $isSpent = false;
    /** When it last told anything, in nanoseconds of the clock that nobody sets. */
    private int $heardAt;

    /** @param resource $lines */
    private function __construct(public readonly int $pid, public readonly float $since, private $lines)
    {
        $this->heardAt = hrtime(true);
    }

    /** @param \Closure(\Closure(string): void): int $body gets what it is to call with its news, and gives the exit code */
    public static function start(\Closure $body): self
    {
        $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        if ($pair === false) {
            throw new \RuntimeException('cannot start a process: there is no pair of sockets for it');
        }
        [$parents, $childs] = $pair;
        $pid = pcntl_fork();
        if ($pid < 0) {
            throw new \RuntimeException('cannot start a process: ' . pcntl_strerror(pcntl_get_last_error()));
        }
        if ($pid === 0) {
            fclose($parents);
            $master = posix_getppid();
            exit($body(static function (string $news) use ($childs, $master): void {
                fwrite($childs, "$news\n");
                posix_kill($master, SIGUSR2);
            }));
        }
        fclose($childs);
        stream_set_blocking($parents, false);
        return new self($pid, microtime(true), $parents);
    }

    public function news(): ?string
    {
        while (($bytes = (string) fread($this->lines, 65536)) !== '') {
            $this->read .= $bytes;
        }
        $end = strrpos($this->read, "\n");
        if ($end !== false) {
            $told = explode("\n", substr($this->read, 0, $end));
            $this->news = end($told);
            $this->isSpent = $this->isSpent || in_array(self::SPENT, $told, true);
            $this->heardAt = hrtime(true);
            $this->read = substr($this->read, $end + 1);
        }
        return $this->news;
    }

    public function isReady(): bool
    {
        return ($this->news ?? $this->news()) !== null;
    }

    public function isSpent(): bool
    {
        $this->news();
        return $this->isSpent;
    }

    /** For how many seconds it has told nothing. */
    public function silence(): float
    {
        $this->news();
        return (hrtime(true) - $this->heardAt) / 1e9;
    }

    public function signal(int $signal): void
    {
        posix_kill($this->pid, $signal);
    }
}
