<?php

declare(strict_types=1);

namespace PushGateway\Worker\Tests;

use PHPUnit\Framework\TestCase;

/** The program as it is called, which loads its classes by itself. End to end tests of the project run it with the extension. */
final class CommandTest extends TestCase
{
    public function testItSaysWhichExtensionIsMissing(): void
    {
        $program = dirname(__DIR__) . '/bin/gateway-worker';
        $words = array_map('escapeshellarg', [PHP_BINARY, '-n', $program, 'help']);
        exec(implode(' ', $words) . ' 2>&1', $lines, $status);
        $this->assertSame(2, $status);
        $this->assertMatchesRegularExpression("/^gateway-worker: PHP's extension \w+ is not loaded: /", implode("\n", $lines));
    }
}
