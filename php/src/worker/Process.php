<?php

namespace PushGateway\Worker;

/** A child process that tells its parent something, a line each time. */
final class Process
{
    private string $read = '';
    /** What it told last. */
    private ?string $news = null;

    /** @param resource $lines */
    private function __construct(public readonly int $pid, public readonly float $since, private $lines)
    {
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
            $this->read = substr($this->read, $end + 1);
        }
        return $this->news;
    }

    public function isReady(): bool
    {
        // It says so once: there is nothing more to read.
        return ($this->news ?? $this->news()) !== null;
    }

    public function signal(int $signal): void
    {
        posix_kill($this->pid, $signal);
    }
}
