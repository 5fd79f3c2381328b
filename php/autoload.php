<?php

declare(strict_types=1);

// The autoloader of the packages' tests where composer has installed nothing. It knows a package and what the composer.json of
// that names, and nothing else, so that a class of another package is not found. From the command line it says which packages are
// missing:
//
//     php php/autoload.php php/gateway

namespace PushGateway\Development;

/** Finds packages, and loads classes as their composer.json says. */
final class Packages
{
    /** The tools that run the tests and are no part of them. */
    private const TOOLS = ['phpstan/phpstan', 'phpunit/phpunit', 'squizlabs/php_codesniffer'];

    /** Where Debian's packages have the classes of others. */
    private const DEBIAN = '/usr/share/php';

    /** @var array<string, true> the packages that have been looked for, by name */
    private array $seen = [];

    /** @var list<string> */
    public array $missing = [];

    /** @var array<string, list<string>> folders by the namespaces whose classes they have */
    private array $folders = [];

    /** @var list<string> files that load classes by themselves */
    private array $files = [];

    /** @param string $siblings the folder that has the packages of this project, each in a folder of its own */
    public function __construct(private readonly string $siblings)
    {
    }

    /**
     * Takes a package in, with all that it needs; of what its tests are run with, that may be missing which it only suggests to
     * others.
     */
    public function add(string $folder, bool $isTested = false): void
    {
        $composer = self::read($folder);
        $autoload = $composer['autoload']['psr-4'] ?? [];
        foreach ($autoload + ($isTested ? $composer['autoload-dev']['psr-4'] ?? [] : []) as $namespace => $path) {
            $this->folders[$namespace][] = rtrim("$folder/$path", '/');
        }
        foreach ($composer['autoload']['files'] ?? [] as $file) {
            $this->files[] = "$folder/$file";
        }
        foreach (array_keys($composer['require'] ?? []) as $name) {
            $this->require($name, true);
        }
        foreach (array_keys($isTested ? $composer['require-dev'] ?? [] : []) as $name) {
            $this->require($name, !isset($composer['suggest'][$name]));
        }
    }

    public function register(): void
    {
        krsort($this->folders);
        spl_autoload_register(function (string $class): void {
            foreach ($this->folders as $namespace => $folders) {
                foreach (str_starts_with($class, $namespace) ? $folders : [] as $folder) {
                    $file = $folder . '/' . strtr(substr($class, strlen($namespace)), '\\', '/') . '.php';
                    if (is_file($file)) {
                        require $file;
                        return;
                    }
                }
            }
        });
        foreach ($this->files as $file) {
            require_once $file;
        }
    }

    private function require(string $name, bool $isNeeded): void
    {
        if (isset($this->seen[$name]) || !str_contains($name, '/') || in_array($name, self::TOOLS, true)) {
            return;
        }
        $this->seen[$name] = true;
        $folder = str_starts_with($name, 'push-gateway/') ? $this->sibling($name) : $this->foreign($name);
        $ofDebian = self::ofDebian($name);
        if ($name === 'yiisoft/yii2' && $folder !== null) {
            $this->files[] = is_file("$folder/Yii.php") ? "$folder/Yii.php" : "$folder/framework/Yii.php";
        } elseif ($folder !== null) {
            $this->add($folder);
        } elseif ($ofDebian !== null) {
            $this->files[] = $ofDebian;
        } elseif ($isNeeded && !str_starts_with($name, 'symfony/polyfill-')) {
            // PHP has by itself what the polyfills have.
            $this->missing[] = $name;
        }
    }

    private function sibling(string $name): ?string
    {
        foreach (glob("$this->siblings/*/composer.json") ?: [] as $file) {
            if (self::read(dirname($file))['name'] === $name) {
                return dirname($file);
            }
        }

        return null;
    }

    /**
     * Finds a package of others where a variable names its place, or where php/vendor has it. YII3_PATH is a folder with `di`,
     * `definitions` and others, PSR_PATH one with `log` and others, and SYMFONY_PATH a checkout of symfony/symfony.
     */
    private function foreign(string $name): ?string
    {
        [$vendor, $package] = explode('/', $name);
        if ($name === 'yiisoft/yii2') {
            $named = self::variable('YII2_PATH');
        } else {
            $variables = ['psr' => 'PSR_PATH', 'symfony' => 'SYMFONY_PATH', 'yiisoft' => 'YII3_PATH'];
            $folder = self::variable($variables[$vendor] ?? '');
            $named = $folder === null ? null : "$folder/" . ($vendor === 'symfony' ? self::ofSymfony($package) : $package);
        }
        foreach ([$named, __DIR__ . "/vendor/$name"] as $place) {
            if ($place !== null && is_dir($place)) {
                return $place;
            }
        }

        return null;
    }

    /** The folder of a package in a checkout of symfony/symfony. */
    private static function ofSymfony(string $package): string
    {
        $words = strtr(ucwords($package, '-'), ['-' => '']);

        return 'src/Symfony/' . match (true) {
            str_ends_with($words, 'Contracts') => 'Contracts/' . substr($words, 0, -strlen('Contracts')),
            str_ends_with($words, 'Bundle') => "Bundle/$words",
            default => "Component/$words",
        };
    }

    private static function variable(string $name): ?string
    {
        $value = $name === '' ? false : getenv($name);

        return is_string($value) && $value !== '' ? $value : null;
    }

    private static function ofDebian(string $name): ?string
    {
        [$vendor, $package] = explode('/', $name);
        $file = match (true) {
            $name === 'psr/http-factory' => 'Psr/Http/Message/factory-autoload.php',
            $vendor === 'psr' => 'Psr/' . strtr(ucwords($package, '-'), ['Http-' => 'Http/', '-' => '']) . '/autoload.php',
            $vendor === 'symfony' => substr(self::ofSymfony($package), strlen('src/')) . '/autoload.php',
            default => '',
        };

        return $file !== '' && is_file(self::DEBIAN . "/$file") ? self::DEBIAN . "/$file" : null;
    }

    /** @return array<string, mixed> */
    private static function read(string $folder): array
    {
        return json_decode((string) file_get_contents("$folder/composer.json"), true, 64, JSON_THROW_ON_ERROR);
    }
}

if (PHP_SAPI === 'cli' && realpath($argv[0] ?? '') === __FILE__) {
    $folder = realpath($argv[1] ?? '.') ?: exit("There is no folder $argv[1].\n");
    $packages = new Packages(dirname($folder));
    $packages->add($folder, true);
    echo implode(', ', $packages->missing), $packages->missing === [] ? '' : "\n";
    exit($packages->missing === [] ? 0 : 1);
}

return static function (string $folder): void {
    $packages = new Packages(dirname($folder));
    $packages->add($folder, true);
    if ($packages->missing !== []) {
        throw new \RuntimeException("These packages are missing: " . implode(', ', $packages->missing));
    }
    $packages->register();
};
