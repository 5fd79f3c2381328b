<?php

namespace PushGateway\Worker;

/**
 * Where the first process says who it is and what its processes do. It holds a lock on it for as long as it lives.
 *
 * @phpstan-import-type State from Slot
 */
final class PidFile
{
    /** @var resource|null */
    private $locked = null;

    public function __construct(private string $path)
    {
    }

    public function take(): void
    {
        $file = @fopen($this->path, 'c+');
        if ($file === false) {
            throw new UsageError("cannot write {$this->path} (--pid-file)");
        }
        if (!flock($file, LOCK_EX | LOCK_NB)) {
            throw new UsageError("another gateway-worker has {$this->path}; give this one its own --pid-file");
        }
        $this->locked = $file;
    }

    /** @param list<State> $workers */
    public function write(array $workers): void
    {
        $text = json_encode(['pid' => getmypid(), 'workers' => $workers], JSON_THROW_ON_ERROR);
        $file = $this->locked();
        // Longer first, so that a reader never sees less than it had; then cut.
        rewind($file);
        fwrite($file, str_pad($text, fstat($file)['size'] ?? 0) . "\n");
        ftruncate($file, strlen($text));
        fflush($file);
    }

    public function remove(): void
    {
        @unlink($this->path);
    }

    /** In a child: the lock is the parent's. */
    public function forget(): void
    {
        fclose($this->locked());
        $this->locked = null;
    }

    public function signal(int $signal): int
    {
        $pid = $this->read()['pid'];
        if (!posix_kill($pid, $signal)) {
            throw new UsageError("cannot signal process $pid: " . posix_strerror(posix_get_last_error()));
        }
        return 0;
    }

    public function status(): string
    {
        ['pid' => $pid, 'workers' => $workers] = $this->read();
        $lines = ["gateway-worker, process $pid, with " . count($workers) . ' workers'];
        $row = '%-8s %8s %-9s %9s %9s %10s  %s';
        $lines[] = sprintf($row, 'worker', 'pid', 'state', 'seconds', 'restarts', 'memory KiB', 'register');
        foreach ($workers as $worker) {
            $seconds = $worker['since'] === null ? '-' : (string) (time() - $worker['since']);
            $memory = self::memory($worker['pid']);
            $lines[] = sprintf(
                $row,
                $worker['number'],
                $worker['pid'] ?? '-',
                $worker['state'],
                $seconds,
                $worker['restarts'],
                $memory,
                $worker['register'] ?? 'of php.ini'
            );
        }
        return implode("\n", $lines) . "\n";
    }

    /** @return resource */
    private function locked()
    {
        return $this->locked ?? throw new \LogicException("{$this->path} is not taken");
    }

    /** @return array{pid: int, workers: list<State>} */
    private function read(): array
    {
        $file = @fopen($this->path, 'r');
        // Whoever can lock it finds nobody there.
        if ($file === false || flock($file, LOCK_SH | LOCK_NB)) {
            throw new UsageError("no gateway-worker runs with {$this->path} (--pid-file)");
        }
        $state = json_decode((string) stream_get_contents($file), true);
        if (!is_array($state) || !isset($state['pid'], $state['workers'])) {
            throw new UsageError("{$this->path} is of no gateway-worker, or not ready yet");
        }
        /** @var array{pid: int, workers: list<State>} $state as write() has written it */
        return $state;
    }

    private static function memory(?int $pid): string
    {
        $status = $pid === null ? false : @file_get_contents("/proc/$pid/status");
        return $status !== false && preg_match('/^VmRSS:\s+(\d+)/m', $status, $found) ? $found[1] : '-';
    }
}
