<?php

declare(strict_types=1);

namespace PushGateway\Stubs\Tests;

use PHPUnit\Framework\TestCase;

final class StubsTest extends TestCase
{
    private const FOLDER = __DIR__ . '/..';
    private const FILES = ['gateway.stub.php', 'aliases.stub.php'];

    /** In a checkout the extension has them too, and tests of the project compare those with what it does. */
    public function testTheyAreThoseOfTheExtension(): void
    {
        foreach (self::FILES as $file) {
            $there = (string) file_get_contents(self::FOLDER . "/$file");
            $this->assertStringStartsWith("<?php\n", $there);
            $original = self::FOLDER . "/../../php-ext/$file";
            if (is_file($original)) {
                $this->assertSame(file_get_contents($original), $there, "cp php-ext/$file php/stubs/$file");
            }
        }
    }

    /** They are read in a process of their own, as this one may have the extension. */
    public function testTheyArePhpThatDeclaresTheClasses(): void
    {
        $names = ['PushGateway\Gateway', 'PushGateway\GatewayEvents', 'PushGateway\GatewayException'];
        $names = [...$names, 'Gateway', 'GatewayClient\Gateway', 'GatewayWorker\Lib\Gateway', 'GatewayException'];
        $code = 'foreach ($argv as $file) { str_ends_with($file, ".php") && require $file; }'
            . ' echo json_encode(array_values(array_filter(' . var_export($names, true) . ', "class_exists")));';
        $files = array_map(fn (string $file) => self::FOLDER . "/$file", self::FILES);
        $command = array_map('escapeshellarg', [PHP_BINARY, '-n', '-d', 'display_errors=1', '-r', $code, '--', ...$files]);
        $this->assertSame(json_encode($names), shell_exec(implode(' ', $command)));
    }

    /** PHPStan, Psalm and editors find the files by what these say. */
    public function testTheConfigurationsNameThem(): void
    {
        $phpstan = (string) file_get_contents(self::FOLDER . '/extension.neon');
        $psalm = (string) file_get_contents(self::FOLDER . '/psalm.xml');
        $composer = json_decode((string) file_get_contents(self::FOLDER . '/composer.json'), true);
        preg_match_all('/^\s+- (\S+)$/m', $phpstan, $scanned);
        $this->assertSame(self::FILES, $scanned[1]);
        preg_match_all('~<file name="vendor/push-gateway/gateway-stubs/([^"]+)"/>~', $psalm, $named);
        $this->assertSame(self::FILES, $named[1]);
        $this->assertSame(['extension.neon'], $composer['extra']['phpstan']['includes']);
        $this->assertArrayNotHasKey('autoload', $composer, 'no autoloader loads a stub');
    }
}
