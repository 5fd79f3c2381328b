/*
 * A program that has a thread-safe PHP in it and runs scripts in threads, as FrankenPHP and others do.
 *
 *   host PHP_INI
 *
 * It takes one command a line, and answers each with the line "done" after what the scripts have printed:
 *
 *   run THREADS SCRIPT ARGUMENT            each thread runs the script as one request, and ends
 *   keep THREADS SCRIPT ARGUMENT           the same, but the threads stay, without a request, and PHP is not told of any end
 *   work THREADS REQUESTS SCRIPT ARGUMENT  the script is a worker: host_handle_request() gives it requests, one after the other
 *   restart                                PHP ends, with all its modules, and starts again
 *   end                                    PHP ends; the program too, but only when its input does
 *
 * Scripts have the functions host_thread(), host_argument(), host_fork() and host_handle_request(callable).
 */

#define _GNU_SOURCE

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <php.h>
#include <SAPI.h>
#include <php_main.h>
#include <php_output.h>
#include <sapi/embed/php_embed.h>

#define MOST_THREADS 256

ZEND_TSRMLS_CACHE_DEFINE()

enum kind { RUN, KEEP, WORK };

struct task {
    int number;
    enum kind kind;
    int requests;
    const char *script;
    const char *argument;
    /* Set when the script has been run, for whoever waits for a thread that stays. */
    bool is_done;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t task_is_done = PTHREAD_COND_INITIALIZER;
static pid_t parent;
static __thread struct task *current;

static void begin_output(void)
{
    SG(headers_sent) = 1;
    SG(request_info).no_headers = 1;
}

/* What FrankenPHP does between two requests of a worker: modules are not told of it. */
static void end_worker_request(void)
{
    zend_try {
        php_output_end_all();
        php_output_deactivate();
    } zend_end_try();
    zend_try {
        sapi_deactivate();
    } zend_end_try();
}

static void begin_worker_request(void)
{
    zend_try {
        php_output_activate();
        PG(header_is_being_sent) = 0;
        PG(connection_status) = PHP_CONNECTION_NORMAL;
        sapi_activate();
        SG(sapi_started) = 1;
        begin_output();
    } zend_end_try();
}

static PHP_FUNCTION(host_thread)
{
    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_LONG(current->number);
}

static PHP_FUNCTION(host_argument)
{
    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_STRING(current->argument);
}

static PHP_FUNCTION(host_fork)
{
    ZEND_PARSE_PARAMETERS_NONE();
    RETURN_LONG(fork());
}

static PHP_FUNCTION(host_handle_request)
{
    zend_fcall_info handler;
    zend_fcall_info_cache cache;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_FUNC(handler, cache)
    ZEND_PARSE_PARAMETERS_END();

    if (current->requests == 0) {
        RETURN_FALSE;
    }
    current->requests--;
    end_worker_request();
    begin_worker_request();
    zval result;
    handler.retval = &result;
    if (zend_call_function(&handler, &cache) == SUCCESS) {
        zval_ptr_dtor(&result);
    }
    RETURN_TRUE;
}

ZEND_BEGIN_ARG_INFO_EX(nothing, 0, 0, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_INFO_EX(one_callable, 0, 0, 1)
    ZEND_ARG_INFO(0, handler)
ZEND_END_ARG_INFO()

static const zend_function_entry functions[] = {
    PHP_FE(host_thread, nothing)
    PHP_FE(host_argument, nothing)
    PHP_FE(host_fork, nothing)
    PHP_FE(host_handle_request, one_callable)
    PHP_FE_END
};

static zend_module_entry host_module = {
    STANDARD_MODULE_HEADER,
    "host",
    functions,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    STANDARD_MODULE_PROPERTIES
};

/* In place of the embedding's own, which has no room for functions of the program. */
static int start_modules(sapi_module_struct *sapi)
{
#if PHP_VERSION_ID >= 80200
    return php_module_startup(sapi, &host_module);
#else
    return php_module_startup(sapi, &host_module, 1);
#endif
}

static void run_script(const char *script)
{
    if (php_request_startup() == FAILURE) {
        fprintf(stderr, "a request could not be started\n");
        exit(1);
    }
    begin_output();
    zend_first_try {
        zend_file_handle file;
        zend_stream_init_filename(&file, script);
        php_execute_script(&file);
        zend_destroy_file_handle(&file);
    } zend_end_try();
    php_request_shutdown(NULL);
}

static void *run_task(void *argument)
{
    struct task *task = argument;
    bool stays = task->kind == KEEP;
    current = task;
    (void)ts_resource(0);
    ZEND_TSRMLS_CACHE_UPDATE();
    run_script(task->script);
    if (getpid() != parent) {
        /* A child that the script has forked. Another thread may have held a lock of PHP's at the fork, which nobody gives back here. */
        _exit(0);
    }
    if (!stays) {
        ts_free_thread();
    }
    pthread_mutex_lock(&lock);
    task->is_done = true;
    pthread_cond_broadcast(&task_is_done);
    pthread_mutex_unlock(&lock);
    while (stays) {
        pause();
    }
    return NULL;
}

static void start_php(const char *ini)
{
    php_embed_module.php_ini_path_override = strdup(ini);
    php_embed_module.startup = start_modules;
    if (php_embed_init(0, NULL) == FAILURE) {
        fprintf(stderr, "PHP could not be started\n");
        exit(1);
    }
    /* This thread runs no script. */
    php_request_shutdown(NULL);
}

static void end_php(void)
{
    /* PHP's own function for this ends a request, which is under way then. */
    php_request_startup();
    begin_output();
    php_embed_shutdown();
}

static void run_tasks(enum kind kind, int threads, int requests, char *rest)
{
    static struct task tasks[MOST_THREADS];
    pthread_t ids[MOST_THREADS];
    char *script = strtok(rest, " \n");
    char *argument = strtok(NULL, " \n");

    if (threads < 1 || threads > MOST_THREADS || !script) {
        fprintf(stderr, "a command needs 1 to %d threads and a script\n", MOST_THREADS);
        exit(1);
    }
    script = strdup(script);
    argument = strdup(argument ? argument : "");
    for (int i = 0; i < threads; i++) {
        tasks[i] = (struct task){
            .number = i, .kind = kind, .requests = requests, .script = script, .argument = argument
        };
        if (pthread_create(&ids[i], NULL, run_task, &tasks[i]) != 0) {
            perror("pthread_create");
            exit(1);
        }
    }
    for (int i = 0; i < threads; i++) {
        if (kind == KEEP) {
            pthread_detach(ids[i]);
            pthread_mutex_lock(&lock);
            while (!tasks[i].is_done) {
                pthread_cond_wait(&task_is_done, &lock);
            }
            pthread_mutex_unlock(&lock);
        } else {
            pthread_join(ids[i], NULL);
        }
    }
}

int main(int count, char **arguments)
{
    char line[4096];
    int threads, requests, read;

    if (count != 2) {
        fprintf(stderr, "usage: %s PHP_INI\n", arguments[0]);
        return 2;
    }
    parent = getpid();
    /* Nobody asks how the children of scripts have ended. */
    signal(SIGCHLD, SIG_IGN);
    start_php(arguments[1]);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "run %d %n", &threads, &read) == 1) {
            run_tasks(RUN, threads, 0, line + read);
        } else if (sscanf(line, "keep %d %n", &threads, &read) == 1) {
            run_tasks(KEEP, threads, 0, line + read);
        } else if (sscanf(line, "work %d %d %n", &threads, &requests, &read) == 2) {
            run_tasks(WORK, threads, requests, line + read);
        } else if (strcmp(line, "restart\n") == 0) {
            end_php();
            start_php(arguments[1]);
        } else if (strcmp(line, "end\n") == 0) {
            end_php();
        } else {
            fprintf(stderr, "an unknown command: %s", line);
            return 2;
        }
        /* Scripts print by write(2). */
        printf("done\n");
        fflush(stdout);
    }
    return 0;
}
