<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PushGateway\Yii2\test\FakeGateway;
use Yii;
use yii\console\ExitCode;

final class GatewayControllerTest extends TestCase
{
    private const ANNS_PAGE = '7f00000104d600000001';
    private const ANNS_PHONE = '7f00000104d600000002';
    private const BOBS_PAGE = '7f00000104d600000003';
    private const GUESTS_PAGE = '7f00000104d60000000a';
    private const TIME = 'a time';

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

    public function testAnInboxIsShownByDevice(): void
    {
        $this->gateway->deliverToUid('ann', 'grüß');
        $this->assertSame("1 message waits, 6 bytes.\nNo device has come yet.\n", $this->ran('inbox', 'ann'));
        $this->gateway->inbox->fetch('ann', 'phone');
        $this->gateway->inbox->fetch('ann');
        $this->gateway->deliverToUid('ann', 'more');
        $this->gateway->deliverToUid('ann', 'last');
        $this->gateway->inbox->fetch('ann');
        $printed = $this->ran('inbox', 'ann');
        $this->assertStringStartsWith("2 messages wait, 8 bytes.\n", $printed);
        $this->assertSame([
            ['Device', 'Waiting', 'Lost', 'Last seen'],
            ['phone', '2', '0', self::TIME],
            ['without a name', '0', '0', self::TIME],
        ], self::cells($printed));
        $this->gateway->inbox->fetch('ann', 'phone');
        $this->assertStringStartsWith("No message waits, 0 bytes.\n", $this->ran('inbox', 'ann'));
        $this->assertSame("The inbox knows nothing of uid bob.\n", $this->ran('inbox', 'bob'));
    }

    public function testAReceiptIsShownByUidAndDevice(): void
    {
        $this->gateway->deliverToUid(['ann', 7], 'hi', ['id' => 'order-5']);
        $this->gateway->inbox->fetch('ann', 'phone');
        $printed = $this->ran('inbox-receipt', 'order-5');
        $this->assertSame([
            ['Device', 'Written', 'Received', 'Read'],
            ['phone', self::TIME, self::TIME, '—'],
        ], self::cells($printed));
        $this->assertMatchesRegularExpression('/^Uid ann: kept at \S+ \S+, waits no longer\.$/m', $printed);
        $time = date('Y-m-d H:i:s', intdiv($this->gateway->receipt('order-5')[1]['expires'], 1000));
        $this->assertStringContainsString(", waits until $time at most.\nIt was written to no device.\n", $printed);
        $said = "No message has the id unknown, or its time has ended.\n";
        $this->assertSame($said, $this->ran('inbox-receipt', 'unknown'));
    }

    /** Times are milliseconds, and those of a device that a token has named are marked. */
    public function testWhatTheGatewayAnswersIsShownAsItIs(): void
    {
        $this->gateway = new class extends FakeGateway {
            protected function call(string $method, array $arguments): mixed
            {
                $device = ['device' => 'laptop', 'signed' => true];
                $all = ['messages' => 1, 'bytes' => 2];
                return $method === 'inboxOf'
                    ? $all + ['devices' => [$device + ['waiting' => 1, 'lost' => 3, 'seen' => 86_399_999]]]
                    : [['uid' => 'ann', 'stored' => 1000, 'expires' => 61_000, 'waiting' => true, 'devices' => [
                        $device + ['written' => 2000, 'received' => null, 'read' => null],
                    ]]];
            }
        };
        Yii::$app->set('gateway', $this->gateway);
        $this->assertSame(
            ['laptop (by token)', '1', '3', '1970-01-01 23:59:59'],
            self::cells($this->ran('inbox', 'ann'), false)[1]
        );
        $printed = $this->ran('inbox-receipt', 'order-5');
        $said = "Uid ann: kept at 1970-01-01 00:00:01, waits until 1970-01-01 00:01:01 at most.\n";
        $this->assertStringStartsWith($said, $printed);
        $this->assertSame(['laptop (by token)', '1970-01-01 00:00:02', '—', '—'], self::cells($printed, false)[1]);
    }

    /**
     * @testWith [true, {}, 1]
     *           [false, {}, 1]
     *           [false, {"interactive": "0"}, 0]
     * @param array<string, string> $options
     */
    public function testForgettingIsAskedFor(bool $agrees, array $options, int $asked): void
    {
        $this->gateway->deliverToUid('ann', 'hi');
        $controller = new PrintedController('gateway', Yii::$app);
        $controller->agrees = $agrees;
        $this->assertSame(ExitCode::OK, $controller->runAction('forget', ['ann', ...$options]));
        $isForgotten = $agrees || $options !== [];
        $this->assertSame(array_fill(0, $asked, 'Forget all of uid ann in the inbox?'), $controller->asked);
        $this->assertSame($isForgotten, $this->gateway->inboxOf('ann') === null);
        $said = $isForgotten ? 'Uid ann is forgotten.' : 'Nothing was forgotten.';
        $this->assertSame("1 message waits, 2 bytes.\n$said\n", $controller->printed);
        $this->assertSame("The inbox knows nothing of uid bob.\n", $this->ran('forget', 'bob'));
    }

    /** @dataProvider failures */
    public function testAFailureSaysWhatTheGatewayHasDone(string $why, string $said): void
    {
        $this->gateway->failure = $why;
        foreach (['inbox', 'inbox-receipt', 'forget'] as $action) {
            $this->assertSame("$said $why\n", $this->ran($action, 'ann', ExitCode::UNAVAILABLE));
        }
        $this->assertSame(["$said $why\n", ExitCode::UNAVAILABLE], $this->send(['uid' => 'ann']));
    }

    /** @return list<array{string, string}> what the extension and GatewayClient say, and what is said of it */
    public static function failures(): array
    {
        $at = 'Can not connect to tcp://127.0.0.1:1238';
        $away = 'The push gateway cannot be reached.';
        $secret = 'The push gateway does not take the secret.';
        return [
            ["$at Connection refused. Check that gateway-server runs", $away],
            ["$at no gateway answered within 3.0 s. Check that gateway-server runs", $away],
            ['can not connect to tcp://127.0.0.1:2900 Connection refused', $away],
            ["$at the gateway refused the login: wrong proof", $secret],
            ["$at GatewayWorker's register closed the connection unanswered, as it does when the secret is wrong", $secret],
            ['getAllGatewayAddressesFromRegister fail. tcp://127.0.0.1:1238 return false', $secret],
            ['the gateway at tcp://127.0.0.1:1238 refused the call: it has no store', 'The push gateway refuses the call.'],
            ['the gateway at tcp://127.0.0.1:1238 did not answer within 3 s', 'The push gateway does not answer.'],
            ['http://127.0.0.1:1239: Connection refused', $away],
            ['http://127.0.0.1:1239: the connection has ended without an answer.', $away],
            ['sendToUid: the token is wrong (unauthorized)', $secret],
            ['deliverToUid: it has no store (refused)', 'The push gateway refuses the call.'],
            ['http://127.0.0.1:1239: the answer did not come in time.', 'The push gateway does not answer.'],
            ['client_id "x" is invalid', 'The push gateway has not done it.'],
        ];
    }

    /** @return string what was printed */
    private function ran(string $action, string $argument, int $code = ExitCode::OK): string
    {
        $controller = new PrintedController('gateway', Yii::$app);
        $this->assertSame($code, $controller->runAction($action, [$argument]), $controller->printed);
        return $controller->printed;
    }

    /**
     * Gives the cells of a table, in which every time of today stands as TIME.
     *
     * @return list<list<string>>
     */
    private static function cells(string $printed, bool $areTimesHidden = true): array
    {
        $rows = [];
        foreach (explode("\n", $printed) as $line) {
            if (str_starts_with($line, '║')) {
                $rows[] = array_map('trim', explode('│', trim($line, '║')));
            }
        }
        $time = '/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/';
        $hidden = fn (array $row) => preg_replace($time, self::TIME, $row);
        return $areTimesHidden ? array_map($hidden, $rows) : $rows;
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
