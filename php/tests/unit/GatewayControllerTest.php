<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use Yii;
use yii\console\ExitCode;

final class GatewayControllerTest extends TestCase
{
    private const ANNS_PAGE = '7f00000104d600000001';
    private const ANNS_PHONE = '7f00000104d600000002';
    private const BOBS_PAGE = '7f00000104d600000003';
    private const GUESTS_PAGE = '7f00000104d60000000a';

    protected function setUp(): void
    {
        parent::setUp();
        $this->gateway->clients = [
            self::ANNS_PAGE => 'ann',
            self::ANNS_PHONE => 'ann',
            self::BOBS_PAGE => 'bob',
            self::GUESTS_PAGE => null,
        ];
        foreach ([self::ANNS_PAGE, self::BOBS_PAGE] as $client) {
            $this->gateway->joinGroup($client, 'news');
        }
        $this->gateway->joinGroup(self::ANNS_PAGE, 'muted');
    }

    /**
     * @dataProvider sends
     * @param array<string, string|true> $options
     * @param list<mixed> $sent
     */
    public function testTheOptionsOfASendReachTheComponent(array $options, int $receivers, array $sent): void
    {
        [$printed, $code] = $this->send($options);
        $this->assertSame(ExitCode::OK, $code, $printed);
        $said = match ($receivers) {
            0 => 'Sent to nobody, since no client is online.',
            1 => 'Sent to 1 client.',
            default => "Sent to $receivers clients.",
        };
        $this->assertSame("$said\n", $printed);
        $this->assertSame([$sent], $this->gateway->sent);
    }

    /** @return array<string, array{array<string, string|true>, int, list<mixed>}> */
    public static function sends(): array
    {
        $guest = strtoupper(self::GUESTS_PAGE);
        $two = self::ANNS_PHONE . ', ' . $guest;
        return [
            'no options' => [['uid' => 'ann'], 2, ['sendToUid', 'ann', 'hi']],
            'a uid but one client' => [
                ['uid' => 'ann', 'exclude' => self::ANNS_PAGE],
                1,
                ['sendToUid', 'ann', 'hi', ['exclude' => [self::ANNS_PAGE]]],
            ],
            'all but two clients' => [
                ['all' => true, 'exclude' => $two],
                2,
                ['sendToAll', null, 'hi', ['exclude' => [self::ANNS_PHONE, self::GUESTS_PAGE]]],
            ],
            'all but two uids' => [
                ['all' => true, 'exclude-uid' => 'ann,bob'],
                1,
                ['sendToAll', null, 'hi', ['exclude' => [self::ANNS_PAGE, self::ANNS_PHONE, self::BOBS_PAGE]]],
            ],
            'all but a uid without clients' => [['all' => true, 'exclude-uid' => 'eve'], 4, ['sendToAll', null, 'hi']],
            'a group but another' => [
                ['group' => 'news', 'exclude-group' => 'muted'],
                1,
                ['sendToGroup', 'news', 'hi', ['excludeGroup' => ['muted']]],
            ],
            'all but clients and groups' => [
                ['all' => true, 'exclude' => self::GUESTS_PAGE, 'exclude-group' => 'muted,empty'],
                2,
                ['sendToAll', null, 'hi', ['exclude' => [self::GUESTS_PAGE], 'excludeGroup' => ['muted', 'empty']]],
            ],
            'a uid but a group' => [
                ['uid' => 'ann', 'exclude-group' => 'muted'],
                1,
                ['sendToUid', 'ann', 'hi', ['excludeGroup' => ['muted']]],
            ],
            'a group but itself' => [
                ['group' => 'news', 'exclude-group' => 'news'],
                0,
                ['sendToGroup', 'news', 'hi', ['excludeGroup' => ['news']]],
            ],
            'binary' => [['group' => 'news', 'binary' => true], 2, ['sendToGroup', 'news', 'hi', ['binary' => true]]],
            'text, of a client' => [
                ['client' => self::BOBS_PAGE, 'text' => true],
                1,
                ['sendToClient', self::BOBS_PAGE, 'hi', ['binary' => false]],
            ],
            'raw' => [['uid' => 'bob', 'raw' => true], 1, ['sendToUid', 'bob', 'hi', ['raw' => true]]],
        ];
    }

    /**
     * @dataProvider misuses
     * @param array<string, string|true> $options
     */
    public function testWhatIsWrongIsSaidAndNothingIsSent(array $options, string $said): void
    {
        $this->assertSame(["$said\n", ExitCode::USAGE], $this->send($options));
        $this->assertSame([], $this->gateway->sent);
    }

    /** @return array<string, array{array<string, string|true>, string}> */
    public static function misuses(): array
    {
        $nobody = 'Whom does --%s leave out? Give --%1$s=…, several separated by commas.';
        return [
            'no value' => [['all' => true, 'exclude-uid' => true], sprintf($nobody, 'exclude-uid')],
            'an empty value' => [['all' => true, 'exclude-group' => ''], sprintf($nobody, 'exclude-group')],
            'an empty one of several' => [['all' => true, 'exclude' => 'a,,b'], sprintf($nobody, 'exclude')],
            'a uid for a client_id' => [['all' => true, 'exclude' => 'ann'], 'ann is no client_id.'],
            'all but one of one' => [
                ['client' => self::BOBS_PAGE, 'exclude-uid' => 'bob'],
                'Nobody can be left out of --client=….',
            ],
            'both kinds' => [['all' => true, 'binary' => true, 'text' => true], 'Give one of --binary and --text.'],
        ];
    }

    public function testHelpNamesEveryOptionWithItsMeaning(): void
    {
        $controller = new PrintedController('gateway', Yii::$app);
        $help = $controller->getActionOptionsHelp($controller->createAction('send'));
        foreach (['exclude', 'exclude-uid', 'exclude-group', 'binary', 'text', 'raw'] as $option) {
            $this->assertStringContainsString('gateway/send: ', $help[$option]['comment'] ?? '', $option);
        }
    }

    /**
     * @param array<string, string|true> $options
     * @return array{string, int} what was printed, and the exit code
     */
    private function send(array $options): array
    {
        $controller = new PrintedController('gateway', Yii::$app);
        $code = $controller->runAction('send', ['hi', ...$options]);
        return [$controller->printed, $code];
    }
}
