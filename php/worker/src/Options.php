<?php

declare(strict_types=1);

namespace PushGateway\Worker;

use PushGateway\Gateway;

/** What the command line asks for, with defaults for the rest. */
final class Options
{
    public string $command = 'help';
    public string $file = '';
    public int $count = 1;
    public string $handler = 'Events';
    /** @var list<string> register addresses. Several share the processes; an empty list stands for the address in php.ini */
    public array $registers = [];
    public string $name = 'gateway-worker';
    public string $pidFile;
    public int $stopTimeout = 30;
    /** How many seconds a handler may take; null stands for no limit. */
    public ?int $handlerTimeout = null;
    /** How many bytes PHP may use in a process; null stands for the limit of php.ini, or for a default where that has none. */
    public ?int $maxMemory = null;
    /** After how many events a process is replaced; null stands for no limit. */
    public ?int $maxEvents = null;
    /** @var \Closure(?string): void|null is given the register address; null stands for the address in php.ini */
    public ?\Closure $prepare = null;

    private function __construct()
    {
        $this->pidFile = '';
    }

    /** Sets the register address and the secret for this process; null stands for the address in php.ini. */
    public function connectTo(?string $register): void
    {
        if ($register !== null) {
            Gateway::$registerAddress = $register;
        }
        if (($secret = getenv('GATEWAY_SECRET_KEY')) !== false) {
            Gateway::$secretKey = $secret;
        }
        if ($this->prepare !== null) {
            ($this->prepare)($register);
        }
    }

    /** @param list<string> $arguments */
    public static function parse(array $arguments): self
    {
        $options = new self();
        $words = [];
        foreach ($arguments as $argument) {
            if (str_starts_with($argument, '--')) {
                $options->set($argument);
            } else {
                $words[] = $argument;
            }
        }
        $options->command = $words[0] ?? 'help';
        if ($options->pidFile === '' && $options->command !== 'help') {
            $options->pidFile = PidFile::usualPath();
        }
        if (!in_array($options->command, ['start', 'stop', 'reload', 'status', 'help'], true)) {
            throw new UsageError("there is no command {$options->command}; gateway-worker help names them");
        }
        if ($options->command === 'start') {
            $file = realpath($words[1] ?? '');
            if (!isset($words[1]) || $file === false || !is_file($file)) {
                throw new UsageError('start needs the file with the handler class, such as Events.php');
            }
            $options->file = $file;
            if ($options->count < count($options->registers)) {
                $nodes = count($options->registers);
                throw new UsageError("--register names $nodes nodes, which each need a process: --count=$nodes or more");
            }
        }
        return $options;
    }

    private function set(string $argument): void
    {
        [$name, $value] = explode('=', substr($argument, 2), 2) + [1 => null];
        if ($name === 'help') {
            return;
        }
        if ($value === null || $value === '') {
            throw new UsageError("--$name needs a value: --$name=…");
        }
        match ($name) {
            'count' => $this->count = self::number($name, $value, 1024),
            'handler' => $this->handler = ltrim($value, '\\'),
            'register' => $this->registers = self::addresses($name, $value),
            'name' => $this->name = $value,
            'pid-file' => $this->pidFile = $value,
            'stop-timeout' => $this->stopTimeout = self::number($name, $value, 86400),
            'handler-timeout' => $this->handlerTimeout = self::number($name, $value, 86400),
            'max-memory' => $this->maxMemory = self::size($name, $value),
            'max-events' => $this->maxEvents = self::number($name, $value, PHP_INT_MAX),
            default => throw new UsageError("there is no option --$name; gateway-worker help names them"),
        };
    }

    /** @return list<string> */
    private static function addresses(string $name, string $value): array
    {
        $addresses = array_map(trim(...), explode(',', $value));

        return !in_array('', $addresses, true)
            ? $addresses
            : throw new UsageError("--$name must be an address, or several separated by commas");
    }

    private static function size(string $name, string $value): int
    {
        $hint = "--$name must be a size from 8M to 1024G, such as 256M";
        if (!preg_match('/^(\d{1,9})([KMG])$/i', $value, $parts)) {
            throw new UsageError($hint);
        }
        $bytes = (int) $parts[1] << ['K' => 10, 'M' => 20, 'G' => 30][strtoupper($parts[2])];
        return $bytes >= 8 << 20 && $bytes <= 1 << 40 ? $bytes : throw new UsageError($hint);
    }

    private static function number(string $name, string $value, int $most): int
    {
        $options = ['options' => ['min_range' => 1, 'max_range' => $most]];
        $number = filter_var($value, FILTER_VALIDATE_INT, $options);
        return $number !== false ? $number : throw new UsageError("--$name must be a number from 1 to $most");
    }
}
